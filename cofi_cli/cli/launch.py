"""What a launcher such as torchrun says of this process, before torch is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cofi_cli.config import RunConfig
    from cofi_cli.runs import RunDir

_COUNT = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_INDEX = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Names that torchrun, accelerate and the MPI launchers set."""


def _number(names: Sequence[str], default: int) -> int:
    values = (os.environ.get(name, "") for name in names)
    return next((int(value) for value in values if value.isdecimal()), default)


def process_count() -> int:
    """Return how many processes were launched together; 1 without a launcher."""
    return _number(_COUNT, 1)


def process_index() -> int:
    """Return which of them this is, from 0; the first one writes and shows."""
    return _number(_INDEX, 0) if process_count() > 1 else 0


def agreed_folder(run: RunDir, config: RunConfig) -> RunDir:
    """Return the first process's folder: each would otherwise find another free name."""
    if process_count() == 1:
        return run
    from cofi_cli.runs import RunDir
    from cofi_cli.training.processes import open_processes

    return RunDir(Path(open_processes(config.train.device).from_main(str(run.root))))
