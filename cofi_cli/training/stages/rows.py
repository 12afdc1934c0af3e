"""The numbers of steps, read in one go: a GPU is waited for once in many steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cofi_cli.training.processes import Processes

Row = dict[str, Any]
"""What a step logs. Tensors are this process's part of a mean over the batch, scalars on the
device; other numbers are known to all processes."""

EVERY = 16
"""Steps on a GPU whose numbers are read together."""


def steps_together(device: torch.device) -> int:
    """Return after how many steps numbers are read; on a CPU they are there at once."""
    return 1 if device.type == "cpu" else EVERY


def read_rows(
    rows: Sequence[Mapping[str, Any]], processes: Processes, *, stop: bool
) -> tuple[list[Row], bool]:
    """Return rows of plain numbers, summed over the processes, and whether one has to stop.

    Args:
        rows: of the steps since the last call.
        processes: that took the same steps.
        stop: whether this process has to stop.
    """
    parts = [value for row in rows for value in row.values() if isinstance(value, Tensor)]
    told = torch.tensor(float(stop), device=processes.device)
    values = processes.sum(torch.stack([told, *(part.float() for part in parts)])).tolist()
    numbers = iter(values[1:])
    read = [
        {k: next(numbers) if isinstance(v, Tensor) else v for k, v in row.items()} for row in rows
    ]
    return read, values[0] > 0
