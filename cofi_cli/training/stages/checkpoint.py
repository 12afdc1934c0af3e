"""Resumable state of a stage: one file, whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cofi_cli.errors import UNREACHABLE, CofiError, reading, reason
from cofi_cli.runs import write_atomic


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values."""

    def write(temporary: Path) -> None:
        # Through a file of ours: to a path torch does not say why it could not write.
        with temporary.open("wb") as file:
            torch.save(state, file)

    write_atomic(path, write)


@contextmanager
def reading_state(path: Path) -> Iterator[None]:
    """Guard the use of a checkpoint: it may hold what another version, or model, left there."""
    with reading(f"The checkpoint {path}", hint=f"Delete {path} to start this stage again."):
        yield


def load_state(path: Path, *keys: str) -> dict[str, Any]:
    """Read what :func:`save_state` wrote, after comparing it with its checksums.

    torch writes a CRC-32 of every tensor and does not look at it when it reads.

    Args:
        keys: that it has to hold.

    Raises:
        CofiError: the file cannot be read, or is not as it was written (exit code 6).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} in it has another checksum than when it was written")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if missing := [key for key in keys if key not in state]:
            raise KeyError(missing[0])
    except Exception as error:  # unpickling what is no checkpoint fails in many ways
        raise CofiError(
            f"The checkpoint {path} cannot be read: {reason(error)}.",
            hint=f"Delete {path} to start this stage again.",
            exit_code=UNREACHABLE,
        ) from error
    return state
