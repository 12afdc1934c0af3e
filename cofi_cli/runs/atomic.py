"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import glob
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from cofi_cli.errors import UNREACHABLE, CofiError

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_HINT = "Free some space, then run the same command again; training goes on with --resume."
_WRAPPED = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS)
"""What libraries wrap in errors of their own."""
OLD = ".old"
"""Ends a name that is never removed: it may be the only version."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)$")


def _os_error_behind(error: BaseException) -> OSError | None:
    """Return what the system said: torch and safetensors wrap it in errors of their own."""
    if isinstance(error, OSError):
        return error
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CofiError):
        match = _OS_ERROR.search(str(seen))
        number = int(match[1]) if match else getattr(seen, "errno", None)
        if number in _WRAPPED:
            return OSError(number, os.strerror(number))
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Tell what the system said of a place, whoever wrote there."""
    try:
        yield
    except Exception as error:
        if (told := _os_error_behind(error)) is None:
            raise
        if told.errno in FULL:
            what = (
                f"No space left on the device while writing {path}. Nothing half-written was kept."
            )
            hint = FULL_HINT
        else:
            what = f"Cannot write {path}: {told.strerror or told}."
            hint = "Choose another folder with --output."
        raise CofiError(what, hint=hint, exit_code=UNREACHABLE) from error


@contextmanager
def workshop(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside a path, for what has to be made before it is written there.

    It is removed in the end; what a killed process left of it, by the next one.

    Raises:
        CofiError: the disk is full or the place not writable (exit code 6), or it is a device,
            a pipe or the current folder.
    """
    place = Path(os.path.realpath(path))
    folder = temporary_beside(place)
    with _disk_errors(path):
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            remove(folder)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file or folder through ``write(temporary_path)``, then rename it into place.

    A reader never sees a part of it, and a crash leaves the old version. What a killed
    process left of an earlier try is removed. A link stays, and what it leads to is replaced.

    Raises:
        CofiError: the disk is full or the place not writable (exit code 6), or it is a device,
            a pipe or the current folder.
    """
    with _disk_errors(path):
        place = Path(os.path.realpath(path))
        temporary = temporary_beside(place)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            give_usual_rights(temporary)
            put_in_place(temporary, place)
        finally:
            remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is a :class:`CofiError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CofiError(f"Cannot read {path}: {error}.", exit_code=UNREACHABLE) from error


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
