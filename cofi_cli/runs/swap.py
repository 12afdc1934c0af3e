"""Temporary places beside a target: named after their process, then moved into place."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

from cofi_cli.errors import CofiError

OLD = ".old"
"""Ends a name that is never removed: it may be the only version."""


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name beside a path.

    What processes of this machine left under such a name when they were killed is removed.

    Raises:
        CofiError: the path leads to what cannot be replaced: a device, a pipe, or the folder
            that this process works in.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise CofiError(f"{path} is a device or a pipe.", hint="Name a file or a folder.")
    if path.is_dir() and Path.cwd().is_relative_to(path.resolve()):
        raise CofiError(
            f"{path} is the current folder, or holds it, and would be replaced.",
            hint="Name another folder with -o, or run the command from another one.",
        )
    start = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(start)}*.tmp"):
        process = left.name.removeprefix(start).partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            remove(left)
    return path.with_name(f"{start}{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there and can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # a file where a folder should be
            path.unlink(missing_ok=True)


def give_usual_rights(path: Path) -> None:
    """Let files be read by whom the umask lets read new files.

    Writers that go through temporary files of their own, such as safetensors, leave them to
    their owner alone.
    """
    mask = os.umask(0)
    os.umask(mask)
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(file.stat().st_mode | (0o666 & ~mask))


def put_in_place(temporary: Path, path: Path) -> None:
    """Give what lies at a temporary name its own; an older folder is moved away, then removed.

    A process that is killed between the steps leaves the old folder under the temporary name
    with OLD after it.
    """
    old = temporary.with_name(temporary.name + OLD)
    if path.is_dir():
        os.replace(path, old)
    try:
        os.replace(temporary, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise
    remove(old)
