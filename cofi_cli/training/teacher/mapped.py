"""A tensor in a file: for what memory does not hold, and for what processes share."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from cofi_cli.training.processes import Processes


def mapped_tensor(
    path: Path, shape: Sequence[int], dtype: torch.dtype, processes: Processes
) -> Tensor:
    """Return a tensor of undefined values that all processes of this machine read and write.

    The system keeps in memory what is used and there is room for. The file loses its name as
    soon as it is mapped, so that nothing is left of it when its processes end, however they do.

    Args:
        path: in a folder that is there; each machine adds its number.
        shape: of the tensor.
        dtype: of its values.
        processes: of the run.

    Raises:
        OSError: the disk has no room for it.
    """
    size = math.prod(shape)
    if size == 0:
        return torch.empty(*shape, dtype=dtype)
    own = path.with_name(f"{path.name}-{processes.machine}")
    if processes.local_index == 0:
        _reserve(own, size * dtype.itemsize)
    processes.wait()
    tensor = torch.from_file(str(own), shared=True, size=size, dtype=dtype).view(*shape)
    processes.wait()
    if processes.local_index == 0:
        with suppress(OSError):  # Windows: it goes with its folder, when the run is finished
            own.unlink()
    return tensor


def _reserve(path: Path, size: int) -> None:
    """Take all the room now: writing to a mapping for which there is none would end the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
