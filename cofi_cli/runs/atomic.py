"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs.swap import (
    give_usual_rights,
    put_in_place,
    remove,
    temporary_beside,
)

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_HINT = "Free some space, then run the same command again; training goes on with --resume."
_WRAPPED = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS)
"""What libraries wrap in errors of their own."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)$")


def _disk_error(path: Path, error: OSError) -> CofiError:
    if error.errno in FULL:
        return CofiError(
            f"No space left on the device while writing {path}. Nothing half-written was kept.",
            hint=FULL_HINT,
            exit_code=UNREACHABLE,
        )
    return CofiError(
        f"Cannot write {path}: {error.strerror or error}.",
        hint="Choose another folder with --output.",
        exit_code=UNREACHABLE,
    )


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
        raise _disk_error(path, told) from error


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


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file or folder through ``write(temporary_path)``, then rename it into place.

    A reader never sees a part of it, and a crash leaves the old version. What a killed
    process left of an earlier try is removed. A link stays, and what it leads to is replaced.

    Raises:
        CofiError: the disk is full or the place not writable (exit code 6), or it is a device,
            a pipe or the current folder.
    """
    with _disk_errors(path):
        _replace(Path(os.path.realpath(path)), write)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        give_usual_rights(temporary)
        put_in_place(temporary, path)
    finally:
        remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    write_atomic(path, lambda temporary: _ignore(temporary.write_text(text, encoding="utf-8")))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is a :class:`CofiError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CofiError(f"Cannot read {path}: {error}.", exit_code=UNREACHABLE) from error


def _ignore(_: object) -> None:
    return None
