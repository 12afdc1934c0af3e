"""The files of a built-in task in a local folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from cofi_cli.errors import UNREACHABLE, CofiError


def split_files(
    folder: Path,
    wanted: Mapping[str, Sequence[str]],
    *,
    task: str,
    layout: str,
    optional: Collection[str] = ("test",),
) -> Iterator[tuple[str, Path]]:
    """Yield each split with its file.

    Args:
        folder: that ``--data`` names.
        wanted: split -> names, or patterns that fit one file, the preferred first.
        task: what an error calls the task.
        layout: what the folder should hold, for errors.
        optional: splits that may be missing.

    Raises:
        CofiError: no such folder, or it lacks a split (exit code 6).
    """
    if not folder.is_dir():
        raise CofiError(f"No such folder: {folder}.", hint=layout, exit_code=UNREACHABLE)
    for split, names in wanted.items():
        fitting = ([p for p in folder.glob(name) if p.is_file()] for name in names)
        path = next((own[0] for own in fitting if len(own) == 1), None)
        if path is not None:
            yield split, path
        elif split not in optional:
            there = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
            raise CofiError(
                f"{folder} has no {' or '.join(names[:2])} for task '{task}'. It holds: {there}.",
                hint=layout,
                exit_code=UNREACHABLE,
            )
