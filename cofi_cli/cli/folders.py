"""The folder of a new run, and the run that --resume continues."""

from __future__ import annotations

import re
from pathlib import Path

from cofi_cli.config import RunConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RUNS, RunDir, command_of

FINETUNE = "finetune"


def run_name(config: RunConfig, *, command: str) -> str:
    """Return ``bert-base-uncased-sst2-0.95``; others end with ``-8x``, ``-5ms``, ``-finetune``."""
    task = config.task.name or Path(config.task.train or "task").stem
    prune = config.prune
    asked = prune.latency or (
        f"{prune.sparsity:g}" if prune.speedup is None else f"{prune.speedup:g}x"
    )
    if prune.milestones:
        asked = f"{prune.milestones[0]:g}-to-{asked}"
    last = FINETUNE if command == FINETUNE else asked
    place = Path(config.model)
    model = place.resolve().name if place.is_dir() else place.name
    return re.sub(r"[^\w.-]+", "-", f"{model}-{task}-{last}").strip("-")


def free_folder(name: str, runs: Path = RUNS) -> Path:
    """Return ``runs/name``, with a number at its end if the folder exists."""
    folder, number = runs / name, 2
    while folder.exists():
        folder, number = runs / f"{name}-{number}", number + 1
    return folder


def unfinished_run(*, command: str, runs: Path = RUNS) -> RunDir:
    """Return the latest unfinished run of a command.

    Raises:
        CofiError: there is no such run.
    """
    found = [RunDir(p) for p in runs.iterdir() if p.is_dir()] if runs.is_dir() else []
    open_runs = [
        run for run in found if run.exists and not run.is_finished and command_of(run) == command
    ]
    if not open_runs:
        raise CofiError(
            f"No unfinished run in {runs}/ to resume.",
            hint=f"Name it: cofi {command} --resume -o RUN",
            exit_code=UNREACHABLE,
        )
    return max(open_runs, key=lambda run: run.config.stat().st_mtime)
