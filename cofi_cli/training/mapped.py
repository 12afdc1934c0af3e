"""Arrays in a file: for what memory does not hold, and for what processes share.

The system keeps in memory what is used and there is room for. A file loses its name as soon as
it is mapped, so that nothing is left of it when its processes end, however they do.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.training.processes import Processes

_LARGE = 1 << 26
"""Bytes that a single process still keeps in memory of its own."""
_ALIGNED = 64

T = TypeVar("T")


def mapped_tensor(
    path: Path, shape: Sequence[int], dtype: torch.dtype, processes: Processes
) -> Tensor:
    """Return a tensor of undefined values that all processes of this machine read and write.

    Args:
        path: in a folder that is there; each machine adds its number.
        shape: of the tensor.
        dtype: of its values.

    Raises:
        OSError: the disk has no room for it.
    """
    size = math.prod(shape)
    if size == 0:
        return torch.empty(*shape, dtype=dtype)
    buffer = _mapped(path, processes, lambda file: _reserve(file, size * dtype.itemsize))
    return torch.frombuffer(buffer, dtype=dtype).view(*shape)


def mapped_arrays(path: Path, made: T | None, processes: Processes) -> T:
    """Return what one process of each machine made, for all, with its numpy arrays in one file.

    A single process keeps arrays in memory that are small, or that the disk has no room for.

    Args:
        path: in a folder that is made if missing; each machine adds its number.
        made: the same on each machine, by the first process of it. It is pickled, by and for this
            run's processes.

    Raises:
        CofiError: two machines made something else.
    """
    builds = processes.local_index == 0
    buffers: list[pickle.PickleBuffer] = []
    frame = pickle.dumps(made, protocol=5, buffer_callback=buffers.append) if builds else b""
    raw = [buffer.raw() for buffer in buffers]
    if processes.count == 1 and made is not None and sum(map(len, raw)) <= _LARGE:
        return made
    own = [len(part) for part in raw]
    frame, sizes = processes.from_main((frame, own))
    if builds and own != sizes:
        raise CofiError(
            "The data are other ones on this machine than on the first.",
            hint="Put the same files and the same model at the same place on each machine.",
            exit_code=ENVIRONMENT,
        )
    edges = [0, *accumulate(-(-size // _ALIGNED) * _ALIGNED for size in sizes)]

    def fill(file: Path) -> None:
        with file.open("wb") as out:
            for part, start in zip(raw, edges):
                out.seek(start)
                out.write(part)
            out.truncate(max(edges[-1], 1))

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        view = memoryview(_mapped(path, processes, fill)).toreadonly()
    except OSError:
        if processes.count > 1 or made is None:
            raise
        return made
    found: T = pickle.loads(
        frame, buffers=[view[a : a + size] for (a, _), size in zip(pairwise(edges), sizes)]
    )
    return found


def _mapped(path: Path, processes: Processes, fill: Callable[[Path], None]) -> mmap.mmap:
    """Map a file that one process of each machine fills; its name is gone afterwards."""
    own = path.with_name(f"{path.name}-{processes.machine}")
    try:
        if processes.local_index == 0:
            fill(own)
        processes.wait()
        with own.open("r+b") as file:
            buffer = mmap.mmap(file.fileno(), 0)
        processes.wait()
    finally:
        if processes.local_index == 0:
            with suppress(OSError):  # Windows: it goes with its folder, when the run is finished
                own.unlink()
    return buffer


def _reserve(path: Path, size: int) -> None:
    """Take all the room now: writing to a mapping for which there is none would end the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
