"""A run's folder belongs to one command at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir


@contextmanager
def claim(run: RunDir) -> Iterator[None]:
    """Hold a run's folder, which is made if missing; the system lets go of a killed process's.

    The lock's file stays in a run's folder: removed while it is held, on some systems another
    command could lock a new one, and on Windows it cannot be. A folder in which no run was
    begun is left as it was.

    Raises:
        CofiError: another command holds it, or it is a file.
    """
    run.check_folder()
    run.refuse_links()
    made = [folder for folder in (run.root, *run.root.parents) if not folder.exists()]
    run.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.lock, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise CofiError(
            f"{run.root} is in use: another cofi command works in it.",
            hint="Wait for it to end, or choose another folder with -o.",
        ) from error
    try:
        yield
    finally:
        lock.release()
        if not run.exists:
            with suppress(OSError):  # another command has it by now, or the folder is not empty
                run.lock.unlink()
                for folder in made:
                    folder.rmdir()
