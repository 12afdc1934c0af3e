"""What lies behind a path: a run, a file of a run, a model folder, or a hub id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from cofi_cli.config import RunConfig, TaskConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs.folder import RunDir
from cofi_cli.yaml_files import read_yaml


@dataclass(frozen=True)
class Source:
    """What is exported from where.

    Attributes:
        models: file stem of the ONNX file -> folder or hub id of the checkpoint.
        run: the run that it belongs to, if any.
        output: the default ONNX folder; ``None`` for a hub id.
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
            f"{path} is a file; cofi exports runs, model folders and models of the hub.",
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


def only_run(targets: Sequence[Path]) -> RunDir | None:
    """Return the finished run that is the only one of several targets, ``None`` for any others."""
    run = RunDir(targets[0]) if len(targets) == 1 else None
    return run if run is not None and run.is_finished else None


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
