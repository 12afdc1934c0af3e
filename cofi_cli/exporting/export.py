"""Export to ONNX: every file proven equal to its torch model before it is kept."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.errors import UNREACHABLE, CofiError, unknown
from cofi_cli.exporting.build import Build
from cofi_cli.exporting.candidates import SCHEDULE, Conditions
from cofi_cli.exporting.checkpoint import load_model, write_config
from cofi_cli.exporting.graphs.choice import Wish
from cofi_cli.exporting.graphs.forms import FORMS, get_form, portable_forms
from cofi_cli.exporting.graphs.tracing import LARGEST_FILE, OPSETS, inputs_of
from cofi_cli.exporting.positions import shorten
from cofi_cli.exporting.vocabulary import Models, score_of, with_vocabulary
from cofi_cli.report.cards.onnx import onnx_card
from cofi_cli.report.report import add_section
from cofi_cli.runs import machine, write_atomic, write_json
from cofi_cli.runs.export_record import (
    EXPORT_JSON,
    foreign_files,
    left_out,
    read_rows,
    weights_digest,
)
from cofi_cli.runs.find import Source, find_source
from cofi_cli.runs.machine import versions
from cofi_cli.runtime.disturbance import busy_note
from cofi_cli.runtime.inputs import Rows, synthetic_rows, task_rows
from cofi_cli.runtime.lengths import LENGTH, longest_input, tokenizer_limit
from cofi_cli.runtime.named_task import check_answers, named_task
from cofi_cli.runtime.providers import provider_name
from cofi_cli.runtime.recorded_task import load_run_task
from cofi_cli.runtime.timing import Schedule
from cofi_cli.tolerances import EXPORT

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "int8", "fp16", "auto")
EMBEDDINGS = ("auto", "int8", "fp32")
PARITY_ROWS = 64
MAX_DROP = 0.5
"""Points of score."""


def export(
    source: Path | str,
    *,
    output: Path | None = None,
    precision: str = "fp32",
    graph: str = "auto",
    portable: bool = False,
    provider: str = "cpu",
    batch: Sequence[int] = (1,),
    seq_len: Sequence[int] | None = None,
    threads: int | None = None,
    max_drop: float | None = None,
    opset: int = 18,
    task: Task | str | None = None,
    data: str | None = None,
    embeddings: str = "auto",
    one_file: bool = False,
    vocab: int | str | None = None,
    text: str | None = None,
    max_length: int | None = None,
    tolerance: float = EXPORT,
    schedule: Schedule = SCHEDULE,
) -> dict[str, Any]:
    """Export a run's compact model and its dense teacher, or one model, to an ONNX folder.

    Both are exported the same way, so that their latencies compare. The folder
    is written whole or not at all and holds ``model.onnx``, for a run also
    ``dense.onnx``, tokenizer, config.json and export.json.

    Args:
        source: a run folder, a model folder or a hub id.
        output: the folder to write; by default ``onnx/`` inside the source.
        precision: ``fp32``; ``int8`` or ``fp16`` add files beside it; ``auto`` adds what
            the provider is served by, and picks the fastest. One of :data:`PRECISIONS`.
        graph: the form of the graphs, which then take a batch whole, or ``auto`` for the
            fastest by measurement, in blocks of rows where these are faster.
        portable: standard ONNX operators only.
        provider: what the files are to be fast on: ``cpu`` or ``cuda``.
        batch, seq_len: the sizes at which candidates are timed; every one with every
            other. By default 1 and 128, or what the model takes at most.
        threads: for that; by default one per core.
        max_drop: points of score that a smaller precision may lose against fp32; by default
            :data:`MAX_DROP`, and nothing where there is nothing to score on.
        opset: version of the ONNX operators, in :data:`OPSETS`.
        task: whose dev rows parity and scores are seen on, or the name of a built-in one; by
            default the run's task, and synthetic rows where there is none or its data is not
            reachable.
        data: the folder of the task that is named.
        embeddings: how embedding tables are stored: ``int8``, rows with a scale each;
            ``fp32``, in a file's own precision; ``auto``, as int8 in int8 files.
        one_file: write ``model.onnx`` alone, in the precision asked for or, with ``auto``, the
            fastest one; without the dense model.
        vocab: number of pieces that the tokenizer keeps, or ``auto`` for the fewest that lengthen
            held-out texts by less than 2 %; ``None`` for all.
        text: a file of texts that the pieces are chosen by, next to the task's training rows.
        max_length: longest row in tokens that the files are to take; position rows beyond it are
            left out.
        tolerance: the largest difference of a logit that passes, fp32, as a share of the largest
            logit or of 1.
        schedule: how long each candidate is timed.

    Returns:
        The content of export.json. Its ``folder`` says where; sizes are in bytes.

    Raises:
        CofiError: parity failed, or a smaller precision loses too much (4), nothing to
            export or not reachable (6), a missing package (5), a wrong argument (2).
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if embeddings not in EMBEDDINGS:
        raise unknown("embeddings", embeddings, EMBEDDINGS)
    served = {"int8": "cpu", "fp16": "cuda"}.get(precision, provider)
    if provider_name(provider) != provider_name(served):
        raise CofiError(
            f"precision '{precision}' is for provider '{served}', not for '{provider}'.",
            hint=f"Add --provider {served}"
            + (
                "; where there is no GPU, also --graph fused-skip, which needs no timing."
                if served == "cuda"
                else "."
            ),
        )
    wish = Wish(
        graph=graph,
        portable=portable,
        conditions=Conditions(
            provider=provider,
            threads=threads if threads is not None else machine.default_threads(),
            batch=tuple(batch),
            seq_len=tuple(seq_len or (LENGTH,)),
            schedule=schedule,
        ),
        max_drop=MAX_DROP if max_drop is None else max_drop,
        opset=opset,
        tolerance=tolerance,
        embeddings=embeddings,
    )
    _check_arguments(wish)
    found = find_source(source)
    folder = _output(found, output)
    if found.run is not None:
        found.run.refuse_links()
    longest = longest_input(found.models["model"])
    if max_length is not None:
        longest = min(longest, max_length)
    wish = _fitted(wish, longest, is_asked_for=seq_len is not None)
    asked = {
        "precision": precision,
        "graph": graph,
        "portable": portable,
        "provider": provider,
        "batch": list(batch),
        "seq_len": None if seq_len is None else list(seq_len),
        "threads": threads,
        "max_drop": max_drop,
        "opset": opset,
        "task": task if isinstance(task, str) else None,
        "data": data,
        "embeddings": embeddings,
        "one_file": one_file,
        "vocab": vocab,
        "text": text,
        "max_length": max_length,
    }
    own = None if isinstance(task, str) else task
    most = int(min(longest, tokenizer_limit(found.models["model"])))
    named = named_task(task if isinstance(task, str) else None, data, longest=most)
    scored, unscored = _task_to_score_on(own or named, found)
    if scored is not None and max_length is not None:
        scored = replace(scored, max_length=min(scored.max_length, max_length))
    with with_vocabulary(found.models, vocab=vocab, text=text, task=scored) as models:
        report = _build(
            source,
            found,
            folder,
            asked=asked,
            task=scored,
            unscored=unscored,
            wish=wish,
            given=models,
        )
    if found.run is not None and folder.resolve() == found.run.onnx.resolve():
        add_section(found.run, "onnx", {k: report[k] for k in ("precision", "opset", "parity")})
    return report


def is_fresh(source: Path | str, folder: Path) -> bool:
    """Whether an export folder holds what ``source`` holds now, by its weights' digests."""
    models, without = read_rows(folder), left_out(folder)
    for name, checkpoint in find_source(source).models.items():
        row = models.get(name)
        if row is None and name in without:
            continue
        if row is None or not (folder / row["file"]).is_file():
            return False
        if row.get("weights_sha256") != weights_digest(checkpoint):
            return False
    return True


def _build(
    source: Path | str,
    found: Source,
    folder: Path,
    *,
    asked: dict[str, Any],
    task: Task | None,
    unscored: str | None,
    wish: Wish,
    given: Models,
) -> dict[str, Any]:
    from cofi_cli.architectures import load_config_dict, load_tokenizer, resolve, save_tokenizer
    from cofi_cli.runtime.task_labels import as_numbered

    report: dict[str, Any] = {}
    precision = asked["precision"]
    started, here = time.perf_counter(), machine.describe_machine()
    tokenizer = load_tokenizer(given.places["model"])
    if unscored is not None and asked["max_drop"] is not None and precision != "fp32":
        raise CofiError(
            f"max_drop is {wish.max_drop:g}, and there is nothing to score on: {unscored}.",
            hint="Name a task: --task TASK [--data DIR], or leave --max-drop out.",
        )
    known = task_rows(task, tokenizer, limit=PARITY_ROWS) if task else None
    wanted = _precisions(precision, wish.conditions.provider)
    has_train = task is not None and "int8" in wanted and "train" in task.splits

    def write(temporary: Path) -> None:
        temporary.mkdir(parents=True)
        models, without = _that_fit(
            {"model": given.places["model"]} if asked["one_file"] else given.places
        )
        scored = None
        if task is not None:
            check_answers(models["model"][1], task)
            if unscored is None:
                config = load_config_dict(resolve(found.models["model"]))
                scored = as_numbered(task, config, "the model")
        positions = None
        if (longest := asked["max_length"]) is not None:
            for _, model in models.values():
                shorten(model, longest)
            positions = models["model"][1].config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
        whole = None
        if scored is not None and given.vocabulary is not None:
            place = found.models["model"]
            whole = score_of(place, task=scored, conditions=wish.conditions)
        with Build(
            temporary,
            models,
            rows={name: known or _synthetic(model) for name, (_, model) in models.items()},
            task=scored,
            calibration=(
                task_rows(task, tokenizer, split="train", limit=1024)
                if task is not None and has_train
                else None
            ),
            tokenizer=tokenizer,
            wish=wish,
            whole=whole,
        ) as build:
            build.notes += [f"{name}.onnx is left out: {why}." for name, why in without.items()]
            if wish.graph == "auto" and (note := busy_note()):
                build.notes.append(note)
            build.fp32()
            if wanted and unscored is not None:
                build.notes.append(f"{wanted[0]} is not scored: {unscored}.")
            for smaller in wanted:
                _add(build, smaller, is_asked_for=precision == smaller)
        save_tokenizer(tokenizer, temporary)
        write_config(given.places["model"], temporary, positions=positions)
        proofs = [row["parity"] for row in build.rows.values() if row["precision"] == "fp32"]
        picked, timed = build.pick() if precision == "auto" else (None, [])
        if asked["one_file"]:
            build.keep_only(picked or f"{'_'.join(['model', *wanted[-1:]])}.onnx")
            picked = "model.onnx" if picked else None
            others = found.models.keys() - models.keys()
            without |= dict.fromkeys(sorted(others), "one file was asked for")
        rows = build.rows
        for key, row in rows.items():
            place = found.models[key.split("_")[0]]
            row |= {"source": place, "weights_sha256": weights_digest(place)}
        report.update(
            {
                "source": str(source),
                "head": models["model"][1].kind,
                "folder": str(folder),
                "precision": precision,
                "graph": rows["model"]["form"],
                "vocabulary": given.vocabulary,
                "picked": picked,
                "candidates": timed,
                "left_out": without,
                "opset": wish.opset,
                "exporter": "torchscript",
                "position_offset": models["model"][1].config.position_offset,
                "inputs": list(inputs_of(models["model"][1])),
                "conditions": wish.conditions.as_dict(),
                "parity": {
                    "max_abs_delta": max(proof["max_abs_delta"] for proof in proofs),
                    "tolerance": wish.tolerance,
                    "allowed": max(proof["allowed"] for proof in proofs),
                    "inputs": proofs[0]["inputs"],
                },
                "models": rows,
                "asked": asked,
                "files": sorted(path.name for path in temporary.iterdir()),
                "notes": build.notes,
                "env": here,
                "versions": versions("torch", "transformers", "onnx", "onnxruntime"),
                "seconds": time.perf_counter() - started,
            }
        )
        write_json(temporary / EXPORT_JSON, report)
        is_portable = all(FORMS[row["form"]].is_portable for row in report["models"].values())
        card = onnx_card(report, head=models["model"][1].kind, is_portable=is_portable)
        (temporary / "README.md").write_text(card, encoding="utf-8")

    write_atomic(folder, write)
    for note in report["notes"]:
        logger.warning("%s", note)
    return report


def _add(build: Build, precision: str, *, is_asked_for: bool) -> None:
    """Write a smaller precision; where nobody asked for it, one that cannot be had is left out."""
    before = len(build.notes)
    try:
        {"int8": build.int8, "fp16": build.fp16}[precision]()
    except CofiError as error:
        if is_asked_for:
            raise
        build.leave_out(precision)
        build.notes[before:] = [f"{precision} is left out: {error.message}"]


def _that_fit(
    places: Mapping[str, str],
) -> tuple[dict[str, tuple[str, CofiForTask]], dict[str, str]]:
    """Load the models that one ONNX file can hold; return them, and why others are left out.

    Raises:
        CofiError: the model itself is too large.
    """
    models, without = {}, {}
    for name, place in places.items():
        model = load_model(place)
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        if size < LARGEST_FILE:
            models[name] = place, model
            continue
        why = f"its weights take {size / 2**30:.1f} GiB, and an ONNX file holds less than 2"
        if name == "model":
            raise CofiError(f"{place} cannot be exported: {why}.", hint="Export a smaller model.")
        without[name] = why
    return models, without


def _precisions(precision: str, provider: str) -> tuple[str, ...]:
    """Return what is made beside fp32."""
    if precision == "auto":
        return ("fp16",) if provider == "cuda" else ("int8",)
    return () if precision == "fp32" else (precision,)


def _fitted(wish: Wish, longest: int, *, is_asked_for: bool) -> Wish:
    """Return the wish with lengths that the model takes.

    Raises:
        CofiError: a longer one was asked for.
    """
    conditions = wish.conditions
    beyond = max(conditions.seq_len)
    if beyond <= longest:
        return wish
    if is_asked_for:
        raise CofiError(
            f"seq_len is {beyond}, and the model takes at most {longest} tokens.",
            hint=f"Use --seq-len {longest} or less.",
        )
    return replace(wish, conditions=replace(conditions, seq_len=(longest,)))


def _check_arguments(wish: Wish) -> None:
    """Refuse what no model could be exported with."""
    provider_name(wish.conditions.provider)
    _ = wish.conditions.cases
    if wish.graph != "auto":
        form = get_form(wish.graph)
        if wish.portable and not form.is_portable:
            raise CofiError(
                f"--portable takes standard operators only, and graph '{form.name}' has others.",
                hint=f"Use --graph {portable_forms()}, or leave --graph out.",
            )
    if not 0 <= wish.max_drop < math.inf:  # not a number is neither
        raise CofiError(f"max_drop is {wish.max_drop:g}; it must be 0 or more points.")
    machine.check_threads(wish.conditions.threads)
    if wish.opset not in OPSETS:
        raise CofiError(
            f"opset is {wish.opset}; supported are {OPSETS.start} to {OPSETS.stop - 1}.",
            hint="Leave --opset out for the default.",
        )


def _output(found: Source, output: Path | None) -> Path:
    """Choose the folder; one that holds anything but the files of an export is not touched."""
    folder = output or found.output
    if folder is None:
        raise CofiError("A hub model needs a folder to be exported to.", hint="Add --output DIR.")
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


def _task_to_score_on(task: Task | None, found: Source) -> tuple[Task | None, str | None]:
    """Return the task whose rows are used, and why nothing can be scored on it, if so."""
    if task is None and found.run is None:
        return None, "no task was named, and only a run has its own"
    if task is None and found.run is not None:
        try:
            task = load_run_task(found.run)
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


def _synthetic(model: CofiForTask) -> Rows:
    config = model.config
    return synthetic_rows(
        vocab=config.vocab_size,
        longest=config.longest_input,
        sequences=config.num_labels if model.has_parts else 0,
    )
