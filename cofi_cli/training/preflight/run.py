"""Checks of the run folder and the data, before anything is trained or written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.architectures import load_config_dict, resolve
from cofi_cli.config import RunConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir, command_of, recorded
from cofi_cli.tasks import Encoded, Task
from cofi_cli.yaml_files import read_yaml

_WIDE = 30.0
"""Largest label of a regression that is not warned of; STS-B's reach 5."""


def guard_folder(run: RunDir, config: RunConfig, *, command: str, resume: bool) -> None:
    """Refuse to write over another run, or to resume one with another command or configuration.

    Raises:
        CofiError: naming the folder, the command or the keys that differ; or the folder holds
            something else.
    """
    run.check_folder()
    run.refuse_foreign()
    if not run.exists:
        return
    own = command_of(run)
    if own != command:
        raise CofiError(
            f"{run.root} holds a run of cofi {own}; cofi {command} would write over it.",
            hint="Choose another folder with -o.",
        )
    if not resume:
        raise CofiError(
            f"{run.root} already holds a run.",
            hint=f"Continue it with: cofi {own} --resume -o {shlex.quote(str(run.root))}, "
            "or choose another folder with -o.",
        )
    saved = read_yaml(run.config)
    changed = _differences(saved, config.model_dump(mode="json"))
    if changed:
        raise CofiError(
            f"{run.root} was started with another configuration: {'; '.join(changed)}.",
            hint=f"Resume it as it was: --resume -o {shlex.quote(str(run.root))}, "
            "and no other option.",
        )

    _guard_places(run, config)


def _guard_places(run: RunDir, config: RunConfig) -> None:
    """Refuse to resume where the paths of a configuration lead nowhere, or to the hub."""
    if (env := recorded(run)) is None:
        return
    started = env.folder
    task = config.task
    paths = (config.model, config.teacher.path, task.data, task.train, task.validation, task.test)
    for path in filter(None, (*paths, task.extra, config.prune.table)):
        if not Path(path).exists() and (Path(started) / path).exists():
            raise CofiError(
                f"'{path}' is a path in {started}, where {run.root} was started, and not here.",
                hint=f"cd {shlex.quote(started)}, then --resume "
                f"-o {shlex.quote(str(run.root.resolve()))}",
            )


def wide_numbers(task: Task) -> str | None:
    """Return a warning where numbers are far larger than what an untrained model answers."""
    labels = task.splits["train"].labels
    if task.kind.problem_type != "regression" or not labels:
        return None
    low, high = min(labels), max(labels)
    if max(-low, high) <= _WIDE:
        return None
    return (
        f"The labels reach from {low:g} to {high:g}, and training begins with answers near 0: "
        "divide them so that they are numbers of a few units."
    )


def guard_ids(model: str, splits: Mapping[str, Encoded]) -> None:
    """Refuse a tokenizer that numbers tokens beyond the model's embeddings.

    Raises:
        CofiError: naming both numbers (exit code 6).
    """
    known = load_config_dict(resolve(model)).get("vocab_size")
    if not isinstance(known, int):
        return
    for name, split in splits.items():
        largest = int(split.input_ids.flat.max(initial=0))
        if largest >= known:
            raise CofiError(
                f"The tokenizer of '{model}' gives token {largest:,} in split {name}, and the "
                f"model's config.json has a vocab_size of {known:,}.",
                hint="Use the tokenizer that the model was trained with.",
                exit_code=UNREACHABLE,
            )


def guard_data(run: RunDir, task: Task) -> None:
    """Refuse to resume a run whose data changed: its steps would go on over other rows.

    Raises:
        CofiError: naming the splits.
    """
    env = recorded(run)
    if env is None or env.data == task.fingerprint:
        return
    splits = sorted({name for name, _ in env.data.items() ^ task.fingerprint.items()})
    raise CofiError(
        f"The data of task '{task.name}' changed since {run.root} was started: "
        f"{', '.join(splits)}.",
        hint="Put the old rows back, or start anew in another folder: -o DIR",
    )


def _differences(saved: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(saved, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*saved, *now]))
        found = [_differences(saved.get(k), now.get(k), f"{path}.{k}".strip(".")) for k in keys]
        return [line for lines in found for line in lines]
    return [] if saved == now else [f"{path} was {saved!r}, is {now!r}"]
