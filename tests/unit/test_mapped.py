"""Tokenised rows in a file: the same rows, one copy a machine, nothing left over."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

import numpy as np
import pytest

from cofi_cli.tasks import Encoded, Ragged
from cofi_cli.training import mapped
from cofi_cli.training.mapped import mapped_arrays
from cofi_cli.training.processes import open_processes
from tests.processes import run_together

Rows = dict[str, Encoded]


def _rows() -> Rows:
    ids = Ragged([[1, 2, 3], [], [4, 5]])
    labels = np.array([1, 0, 1])
    gold = ["an answer"]
    return {"train": Encoded(ids, Ragged([[0, 0, 1], [], [1, 1]]), labels, np.diff(ids.ends), gold)}


def _in_file(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array reads a mapping, which cannot be written to, and not memory of its own."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview | PickleBuffer) and not array.flags.writeable


def _assert_same(found: Rows) -> None:
    ours, theirs = found["train"], _rows()["train"]
    assert [list(row) for row in ours.input_ids] == [[1, 2, 3], [], [4, 5]]
    assert np.array_equal(ours.token_type_ids.flat, theirs.token_type_ids.flat)
    assert np.array_equal(ours.labels, theirs.labels) and ours.gold == ["an answer"]


def test_large_rows_of_one_process_lie_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = open_processes("cpu")
    small = mapped_arrays(tmp_path / "run" / "rows", _rows(), processes)
    assert not _in_file(small["train"].input_ids.flat) and not (tmp_path / "run").exists()
    monkeypatch.setattr(mapped, "_LARGE", 10)
    large = mapped_arrays(tmp_path / "run" / "rows", _rows(), processes)
    _assert_same(large)
    assert _in_file(large["train"].input_ids.flat) and _in_file(large["train"].lengths)
    assert not list((tmp_path / "run").iterdir()), "the file has lost its name"


def test_without_room_on_the_disk_rows_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mapped, "_LARGE", 10)
    monkeypatch.setattr(mapped, "_mapped", full)
    _assert_same(mapped_arrays(tmp_path / "rows", _rows(), open_processes("cpu")))


def test_processes_of_a_machine_share_one_file(tmp_path: Path) -> None:
    def work() -> tuple[Rows, bool]:
        made = _rows() if os.environ["RANK"] == "0" else None
        found = mapped_arrays(tmp_path / "rows", made, open_processes("cpu"))
        return found, _in_file(found["train"].input_ids.flat)

    for found, in_file in run_together(work):
        _assert_same(found)
        assert in_file
    assert not list(tmp_path.iterdir())
