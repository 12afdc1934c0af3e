"""What an export is going to make: chosen, and refused where it cannot be, before it is made."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from cofi_cli.config import ExportConfig
from cofi_cli.config.export import MAX_DROP
from cofi_cli.config.max_drop import Limits
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.graphs.choice import CHOSEN, Wish
from cofi_cli.exporting.graphs.forms import FORMS, portable_forms
from cofi_cli.runs import machine
from cofi_cli.runs.export_folder import EXPORT_JSON, foreign_files
from cofi_cli.runs.find import Source, find_source
from cofi_cli.runtime.lengths import LENGTH, longest_input, tokenizer_limit
from cofi_cli.runtime.named_task import named_task
from cofi_cli.runtime.recorded_task import load_run_task
from cofi_cli.runtime.timing import Schedule
from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """An export that could start.

    Attributes:
        name: of the source, as it was given.
        source: its checkpoints.
        folder: to write.
        config: what was asked for.
        wish: the same for the graphs, fitted to the model.
        task: whose rows parity and scores are seen on; ``None`` for synthetic rows.
        unscored: why nothing can be scored, ``None`` where it can.
        smaller: precisions that are made next to fp32.
    """

    name: str
    source: Source
    folder: Path
    config: ExportConfig
    wish: Wish
    task: Task | None
    unscored: str | None
    smaller: tuple[str, ...]


def choose(
    name: Path | str,
    config: ExportConfig,
    *,
    output: Path | None,
    task: Task | None,
    tolerance: float,
    schedule: Schedule,
) -> Order:
    """Choose source, folder, conditions and task; see :func:`cofi_cli.exporting.export.run_export`.

    Raises:
        CofiError: options that contradict each other, nothing to export, a folder of something
            else, a length that the model does not take, nothing to hold ``max_drop`` against.
    """
    _check_options(config)
    source = find_source(name)
    folder = _output(source, output)
    if source.run is not None:
        source.run.refuse_links()
    model = source.models[CHOSEN]
    longest = longest_input(model)
    if config.max_length is not None:
        longest = min(longest, config.max_length)
    wish = _wish(config, longest, tolerance=tolerance, schedule=schedule)
    most = int(min(longest, tokenizer_limit(model)))
    named = named_task(config.task, config.data, longest=most)
    task, unscored = _task_to_score_on(task or named, source)
    if not config.score:
        unscored = unscored or "scores are turned off"
    if task is not None and config.max_length is not None:
        task = replace(task, max_length=min(task.max_length, config.max_length))
    if unscored is not None and config.max_drop and config.precision != "fp32":
        limits = ", ".join(config.max_drop)
        raise CofiError(
            f"max_drop is {limits}, but there is nothing to score on: {unscored}.",
            hint="Name a task: --task TASK [--data DIR], or leave --max-drop out.",
        )
    if task is not None and unscored is None:
        for part in wish.part_drops:
            if (why := task.why_no_part(part)) is not None:
                raise CofiError(f"--max-drop {part} cannot be judged: {why}.")
    return Order(
        name=str(name),
        source=source,
        folder=folder,
        config=config,
        wish=wish,
        task=task,
        unscored=unscored,
        smaller=_smaller(config),
    )


def _check_options(config: ExportConfig) -> None:
    """Refuse options that no model could be exported with."""
    served = {"int8": "cpu", "fp16": "cuda"}.get(config.precision, config.provider)
    if config.provider != served:
        raise CofiError(
            f"precision '{config.precision}' is for provider '{served}', not for "
            f"'{config.provider}'.",
            hint=f"Add --provider {served}"
            + (
                "; where there is no GPU, also --graph fused-skip, which needs no timing."
                if served == "cuda"
                else "."
            ),
        )
    if config.graph != "auto" and config.portable and not FORMS[config.graph].is_portable:
        raise CofiError(
            f"--portable takes standard operators only, and graph '{config.graph}' has others.",
            hint=f"Use --graph {portable_forms()}, or leave --graph out.",
        )
    if config.threads is not None:
        machine.check_threads(config.threads)


def _wish(config: ExportConfig, longest: int, *, tolerance: float, schedule: Schedule) -> Wish:
    """Return what the graphs are to be, with lengths that the model takes.

    Raises:
        CofiError: a longer one was asked for.
    """
    if config.seq_len is not None and max(config.seq_len) > longest:
        raise CofiError(
            f"seq_len is {max(config.seq_len)}, and the model takes at most {longest} tokens.",
            hint=f"Use --seq-len {longest} or less.",
        )
    threads = config.threads if config.threads is not None else machine.default_threads()
    limits = Limits.of(config.max_drop)
    return Wish(
        graph=config.graph,
        portable=config.portable,
        conditions=Conditions(
            provider=config.provider,
            threads=threads,
            batch=config.batch,
            seq_len=config.seq_len or (min(LENGTH, longest),),
            schedule=schedule,
        ),
        max_drop=MAX_DROP if limits.whole is None else limits.whole,
        part_drops=limits.parts,
        opset=config.opset,
        tolerance=tolerance,
        embeddings=config.embeddings,
    )


def _smaller(config: ExportConfig) -> tuple[str, ...]:
    if config.precision == "auto":
        return ("fp16",) if config.provider == "cuda" else ("int8",)
    return () if config.precision == "fp32" else (config.precision,)


def _output(source: Source, output: Path | None) -> Path:
    """Choose the folder; one that holds anything but the files of an export is not touched."""
    folder = output or source.output
    if folder is None:
        name = next(iter(source.models.values()))
        raise CofiError(
            f"There is no folder '{name}', and a model of the hub needs one to be exported to.",
            hint="Correct the path, or add --output DIR.",
        )
    is_other = folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / EXPORT_JSON).exists())
    )
    if is_other:
        raise CofiError(
            f"{folder} holds something that is not an export; it is left as it is.",
            hint="Choose another folder with --output.",
        )
    if folder.exists() and (foreign := foreign_files(folder)):
        raise CofiError(
            f"{folder} holds '{foreign[0]}', which no export wrote and a new one would remove; "
            "it is left as it is.",
            hint="Move it elsewhere, or choose another folder: cofi export --onnx --output DIR.",
        )
    return folder


def _task_to_score_on(task: Task | None, source: Source) -> tuple[Task | None, str | None]:
    """Return the task whose rows are used, and why nothing can be scored on it, if so."""
    if task is None:
        if source.run is None:
            return None, "no task was named, and only a run has its own"
        try:
            task = load_run_task(source.run)
        except CofiError as error:
            if error.exit_code != UNREACHABLE:
                raise
            logger.warning("Parity is checked on synthetic rows: %s", error.message)
            return None, "the data of its task is not there"
    if task is None:
        return None, "its run names no task"
    if not task.can_score("validation"):
        return task, f"the validation rows of task '{task.name}' have no labels"
    return task, None
