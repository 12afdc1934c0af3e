"""A table that is measured is one that pruning reads; what it says, benchmarks judge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cofi_cli.benchmarking import latency_table
from cofi_cli.benchmarking.latency_stacks import Stacks, chosen_heads
from cofi_cli.benchmarking.latency_table import measure_table, rising
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import read_table
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runtime.timing import Case, Schedule

SMALL = CofiConfig(
    vocab_size=50, hidden_size=16, head_dim=8, layer_heads=[2, 2, 2], layer_ffn=[32, 32, 32]
)
SHORT = Schedule(runs=2, rounds=2, warmup=1)


def test_times_are_made_to_rise() -> None:
    noisy = np.array([[1.0, 3.0, 2.0, 5.0], [-0.5, 4.0, 4.0, 6.0]])
    found = rising(noisy)
    assert found.min() >= 0 and (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[0, 1:3].tolist() == [2.5, 2.5] and found[1].tolist()[1:] == [4.0, 4.0, 6.0]
    smooth = np.array([[1.0, 2.0], [1.5, 2.5]])
    assert np.array_equal(rising(smooth), smooth)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_measured_table_can_be_read(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency_table, "_widths", lambda _: [4])
    said: list[tuple[str, int, int]] = []
    stacks = Stacks(SMALL, Case(1, 8), "cpu", precision, threads=1, schedule=SHORT)
    table = measure_table(stacks, report=lambda *told: said.append(told))
    assert table.ffn_widths == (4, 32) and table.hidden == (4, 8, 16) and table.heads == (1, 2)
    assert said[:2] == [("1 heads, hidden 4", 0, 12), ("2 heads, hidden 4", 1, 12)]
    assert said[-1] == ("FFN width 32, hidden 16", 11, 12)
    assert table.environment["onnxruntime"] and table.precision == precision
    file = tmp_path / "table.json"
    file.write_text(table.model_dump_json(), encoding="utf-8")
    assert read_table(file, EncoderShape.of(SMALL)) == table


def test_heads_between_measured_ones() -> None:
    assert list(chosen_heads(12)) == [1, 2, 3, 4, 6, 8, 10, 12]
    assert list(chosen_heads(7)) == [1, 2, 3, 4, 6, 7]


@pytest.mark.parametrize(
    ("case", "changes", "text"),
    [
        (Case(1, 513), {}, "seq_len is 513; this model takes at most 512 tokens"),
        (Case(1, 8), {"precision": "fp16"}, "Precision 'fp16' cannot be timed on 'cpu'"),
        (Case(1, 8), {"provider": "tpu"}, "Unknown provider 'tpu'"),
        (Case(1, 8), {"threads": 100000}, "threads is 100000"),
    ],
)
def test_settings_that_cannot_be_measured(case: Case, changes: dict[str, Any], text: str) -> None:
    values: dict[str, Any] = {"provider": "cpu", "precision": "fp32", "threads": 1}
    with pytest.raises(CofiError, match=re.escape(text)):
        measure_table(Stacks(SMALL, case, **values | changes))
