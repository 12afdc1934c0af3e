"""What there is to export behind a path: a run, a model folder, or a hub id."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cofi_cli.config import RunConfig, TaskConfig
from cofi_cli.deploy.record import EXPORT_JSON, file_digest, options_of, read_rows
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir, read_json, recorded
from cofi_cli.tasks.taught import label_names
from cofi_cli.yaml_files import read_yaml

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """What is exported from where.

    Attributes:
        models: file stem of the ONNX file -> folder or hub id of the checkpoint.
        run: the run that it belongs to, if any.
        output: where the ONNX folder goes unless told otherwise; ``None`` for a hub id.
    """

    models: dict[str, str]
    run: RunDir | None
    output: Path | None


def find_source(place: Path | str) -> Source:
    """Return what ``place`` holds.

    Raises:
        CofiError: an unfinished run, or a folder that holds no model.
    """
    path = Path(place)
    run = RunDir(path)
    is_model = (path / "config.json").exists()
    if is_run(run) or ((run.model / "config.json").exists() and not is_model):
        if not (run.model / "config.json").exists():
            raise CofiError(
                f"{path} holds a run that has no model yet.",
                hint="Finish it first: repeat its command with --resume.",
                exit_code=UNREACHABLE,
            )
        models = {"model": str(run.model)}
        if (run.teacher / "config.json").exists():
            models["dense"] = str(run.teacher)
        return Source(models, run, run.onnx)
    if path.is_dir() and not is_model:
        raise CofiError(
            f"{path} holds neither a run nor a model: there is no config.yaml of a run and no "
            "config.json.",
            hint="Name a folder that cofi prune wrote, or a Hugging Face model folder.",
            exit_code=UNREACHABLE,
        )
    if path.is_file():
        raise CofiError(
            f"{path} is a file; what is exported is a run, a model folder or a model of the hub.",
            hint=f"Name its folder, or time the file as it is: cofi bench {quote(str(path))}",
        )
    return Source({"model": str(place)}, None, path / "onnx" if path.is_dir() else None)


def run_of(path: Path) -> RunDir | None:
    """Return the run that a path is, or lies in: runs/X, runs/X/onnx, runs/X/onnx/model.onnx."""
    path = path.resolve()
    for folder in (path, *list(path.parents)[:2]):
        if is_run(RunDir(folder)):
            return RunDir(folder)
    return None


def is_run(run: RunDir) -> bool:
    """Whether a folder is a run, and its config.yaml not one of Hydra, Lightning or others.

    A run's has a run's keys only; that of a finished run need not even be readable.
    """
    if not run.exists or run.is_finished:
        return run.exists
    try:
        values = read_yaml(run.config)
    except CofiError:
        return False
    return set(values) <= set(RunConfig.model_fields) and isinstance(values.get("model"), str)


def task_of(run: RunDir) -> TaskConfig | None:
    """Return the task in a run's configuration, ``None`` when it names none.

    Raises:
        CofiError: the configuration cannot be read (exit code 6).
    """
    if not is_run(run):
        return None
    try:
        task = RunConfig.model_validate(read_yaml(run.config)).task
    except (CofiError, ValueError) as error:
        raise CofiError(f"Cannot read {run.config}: {error}.", exit_code=UNREACHABLE) from error
    return task if task.name or task.train else None


def load_run_task(run: RunDir) -> Task | None:
    """Load the task of a run, ``None`` when its configuration names none.

    Says so where its rows are not those of the training.

    Raises:
        CofiError: its data, or what its teacher answered, is not reachable (exit code 6).
    """
    config = task_of(run)
    if config is None:
        return None
    from cofi_cli.tasks import Taught, load_task
    from cofi_cli.tasks.agreement import AGREEMENT, load_answers

    taught = None
    if config.unlabelled and config.kind != "embedding":
        from cofi_cli.architectures import read_taught

        teacher = _teacher_of(run)
        taught = Taught(teacher, *read_taught(teacher, config.kind))
    task = load_task(config, taught)
    if task.headline == AGREEMENT:
        task = replace(task, answers=load_answers(run.answers, task.fingerprint))
    then, now = _trained_on(run), task.fingerprint
    if then and (changed := sorted(k for k in {*then, *now} if then.get(k) != now.get(k))):
        log.warning(
            "The rows of %s changed since it was trained: %s. Scores are of the rows that are "
            "there now; relative paths are read from the current folder.",
            run.root,
            ", ".join(changed),
        )
    return task


def _trained_on(run: RunDir) -> dict[str, Any] | None:
    """Return the fingerprint of the rows that a run was trained on, where it is known."""
    try:
        then = recorded(run).get("data")
    except CofiError as error:
        log.warning("%s What the run was trained on is not known.", error.message)
        return None
    return then if isinstance(then, dict) else None


def _teacher_of(run: RunDir) -> str:
    """Return the run's own teacher, else the one that its configuration names."""
    if (run.teacher / "config.json").exists():
        return str(run.teacher)
    return str(read_yaml(run.config)["teacher"]["path"])


def load_model(name: str) -> CofiForTask:
    """Load a checkpoint, dense or compact, with the task head that it carries.

    Raises:
        CofiError: it cannot be loaded, or carries no task head to export.
    """
    from cofi_cli.architectures import (
        adapter_for,
        has_head,
        head_kind,
        is_embedder,
        load_config_dict,
        load_dense,
        resolve,
    )
    from cofi_cli.modeling import HEADS, CofiConfig

    config = load_config_dict(resolve(name))
    is_ours = config["model_type"] == CofiConfig.model_type
    if not is_ours:
        adapter_for(name, config)
    labels, head = label_names(config), head_kind(config)
    if head is None or (head == "embedding" and not is_ours):
        # A bare encoder says nothing of how it is pooled, unless modules.json lies beside it.
        head = "embedding" if is_embedder(name) else "sequence"
    num_labels = HEADS[head].outputs or len(labels) or int(config.get("num_labels", 2))
    if not has_head(name, num_labels=num_labels, head=head):
        raise CofiError(
            f"'{name}' has no task head: its answers would be random.",
            hint="Fine-tune it on a task first: cofi finetune MODEL --task TASK. A sentence "
            "embedder needs its modules.json, as sentence-transformers writes it.",
        )
    model = load_dense(
        name,
        head=head,
        num_labels=num_labels,
        labels=labels,
        problem_type=config.get("problem_type"),
    )
    model.config._attn_implementation = "eager"
    model.train(False)
    return model


def write_config(name: str, folder: Path) -> None:
    """Write config.json as runtimes read it: labels and sizes, and no code that has to be trusted.

    A compact model is described as one of its source's type, so that for example optimum's
    ``ORTModelForSequenceClassification`` opens the folder as it stands. The widths of each
    layer are there too, under the names of :class:`cofi_cli.modeling.CofiConfig`.
    """
    from cofi_cli.architectures import load_config_dict, resolve

    config = load_config_dict(resolve(name))
    for key in ("_commit_hash", "auto_map", "architectures"):
        config.pop(key, None)
    if "source_model_type" in config:
        config |= {
            "model_type": config["source_model_type"],
            "num_hidden_layers": len(config["layer_heads"]),
            # Others divide by it; a model may have lost all attention.
            "num_attention_heads": max(1, *config["layer_heads"]),
            "intermediate_size": max(config["layer_ffn"]),
        }
        # Names of single architectures; others do not read them.
        config["hidden_dim"] = config["intermediate_size"]  # DistilBERT
        if config.get("embedding_size") is None:  # ELECTRA takes a number only
            config["embedding_size"] = config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def weights_digest(name: str) -> str | None:
    """Return the sha256 of a local checkpoint's weights, ``None`` when it is not local."""
    for file in WEIGHTS:
        path = Path(name) / file
        if path.is_file():
            return file_digest(path)
    return None


def renewing(folder: Path) -> str | None:
    """Return the command that exports a folder again, where its source has other weights by now.

    ``None`` where they are those of export.json, where that states none, and where the source
    is not at hand.
    """
    rows = read_rows(folder)
    place = folder.parent if folder.name else folder.resolve().parent
    models = {name: row.get("source") for name, row in rows.items()}
    elsewhere = f" -o {quote(str(folder))}"
    with suppress(CofiError):
        found = find_source(place)
        if found.output is not None and found.output.resolve() == folder.resolve():
            models, elsewhere = dict(found.models), ""
    if elsewhere:
        place = Path(str(read_json(folder / EXPORT_JSON).get("source"))) if rows else place
    for name, checkpoint in models.items():
        stated = rows.get(name, {}).get("weights_sha256")
        now = weights_digest(checkpoint) if stated and checkpoint else None
        if now is not None and now != stated:
            return f"cofi export --onnx {quote(str(place))}{elsewhere}{options_of(folder)}"
    return None
