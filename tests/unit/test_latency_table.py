"""A table that is measured is one that pruning reads; what it says, benchmarks judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cofi_cli.benchmarking.latency_table import main, measure_table, rising
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import read_table
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runtime.timing import Schedule

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


def test_a_measured_table_can_be_read(tmp_path: Path) -> None:
    said: list[str] = []
    table = measure_table(
        SMALL,
        batch=1,
        seq_len=8,
        threads=1,
        schedule=SHORT,
        ffn_widths=[4],
        progress=said.append,
    )
    assert table.ffn_widths == (4, 32) and table.hidden == (8, 16) and table.heads == (1, 2)
    assert said[:2] == ["hidden 8, heads 1", "hidden 8, heads 2"] and len(said) == 8
    assert table.environment["onnxruntime"]
    file = tmp_path / "table.json"
    file.write_text(table.model_dump_json(), encoding="utf-8")
    assert read_table(file, EncoderShape.of(SMALL)) == table


def test_rows_that_are_too_long() -> None:
    with pytest.raises(CofiError, match="seq_len is 513; this model takes at most 512 tokens"):
        measure_table(SMALL, batch=1, seq_len=513)


def test_the_module_needs_a_file_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["model"])
    assert "--output" in capsys.readouterr().err
