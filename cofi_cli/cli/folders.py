"""The folder of a new run, the run that --resume continues, and places that are written to."""

from __future__ import annotations

import os
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
        largest = prune.milestones[0]
        asked = f"{largest if isinstance(largest, str) else format(largest, 'g')}-to-{asked}"
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


def check_places(output: Path | None, ci_dir: Path | None) -> None:
    """Check before the measurement that its results can be written.

    Raises:
        CofiError: a folder is named where a file is expected, a file where a folder is expected,
            or the place cannot be written.
    """
    if output is not None and output.is_dir():
        raise CofiError(
            f"--output is '{output}', which is a folder.", hint=f"-o {output / 'bench.json'}"
        )
    if ci_dir is not None and ci_dir.exists() and not ci_dir.is_dir():
        raise CofiError(f"--ci-dir is '{ci_dir}', which is a file.", hint="Name a folder.")
    is_file = output is not None and (output.is_file() or not output.exists())  # no device, no pipe
    parent = output.resolve().parent if output is not None and is_file else None
    for flag, folder in (("--output", parent), ("--ci-dir", ci_dir and ci_dir.resolve())):
        if folder is None:
            continue
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise CofiError(
                f"{flag} cannot be written: {there} is "
                + ("not writable." if there.is_dir() else "a file."),
                hint="Choose another place.",
                exit_code=UNREACHABLE,
            )
