"""Temporary places beside a target: named after their process, and swapped in at once."""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import socket
import sys
import uuid
import zlib
from contextlib import suppress
from pathlib import Path

OLD = ".old"
"""Ends a name that is never removed: it may be the only version."""
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name beside a path.

    What processes of this machine left under such a name when they were killed is removed.
    """
    machine = f"{zlib.crc32(socket.gethostname().encode()):08x}"
    start = f".{path.name}.{machine}-"
    for left in path.parent.glob(f"{glob.escape(start)}*.tmp"):
        process = left.name.removeprefix(start).partition("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            remove(left)
    return path.with_name(f"{start}{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _is_alive(process: int) -> bool:
    """Whether a process runs; where that cannot be asked without harm, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


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


def is_special(path: Path) -> bool:
    """Whether a path leads to a device or a pipe, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def put_in_place(temporary: Path, path: Path) -> None:
    """Give what lies at a temporary name its own; an older folder goes to the temporary name.

    At once, except for folders where the system cannot exchange two names, and for the current
    folder: a process that is killed between the steps leaves the old one under the temporary
    name with OLD after it.
    """
    if not (temporary.is_dir() and path.exists()):
        os.replace(temporary, path)
    elif path.samefile(os.curdir):  # renamed, it would take the user's shell with it
        _exchange_content(temporary, path)
    elif not _exchange(temporary, path):
        old = temporary.with_name(temporary.name + OLD)
        os.replace(path, old)
        try:
            os.replace(temporary, path)
        except BaseException:
            os.replace(old, path)
            raise
        os.replace(old, temporary)


def _exchange_content(temporary: Path, path: Path) -> None:
    """Exchange what lies in two folders, one after another; a failure is undone."""
    old = temporary.with_name(temporary.name + OLD)
    old.mkdir()
    moves = [(entry, old / entry.name) for entry in path.iterdir()]
    moves += [(entry, path / entry.name) for entry in temporary.iterdir()]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            os.replace(source, target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            os.replace(target, source)
        old.rmdir()
        raise
    temporary.rmdir()
    os.replace(old, temporary)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names, on Linux, and say whether it was done."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # another C library
        return False
    names = os.fsencode(first), os.fsencode(second)
    return bool(rename(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
