"""``cofi bench --table``: what is measured, where it is written, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.benchmarking import latency_table
from cofi_cli.benchmarking.latency_stacks import Stacks
from cofi_cli.errors import USAGE
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.runtime.timing import Case
from tests.cli.conftest import Cofi
from tests.latency_tables import made_up_table


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Stacks]:
    """Measure nothing; return what was asked for."""
    calls: list[Stacks] = []

    def measure(stacks: Stacks, *, task: str | None, report: Any) -> LatencyTable:
        report("1 heads, hidden 4", 0, 1)
        calls.append(stacks)
        return made_up_table(batch=stacks.case.batch, seq_len=stacks.case.seq_len, task=task)

    monkeypatch.setattr(latency_table, "measure_table", measure)
    return calls


def test_a_table_is_measured_written_and_shown(
    cofi: Cofi, bert_folder: Path, asked: list[Any], tmp_path: Path
) -> None:
    done = cofi("bench", bert_folder, "--table", "--seq-len", "16", "--threads", "1")
    assert done.code == 0, done.err
    assert asked[0].case == Case(1, 16)
    assert (asked[0].precision, asked[0].threads, asked[0].provider) == ("fp32", 1, "cpu")
    file = tmp_path / "latency-cpu-fp32-b1-s16.json"
    assert LatencyTable.model_validate_json(file.read_text()) == made_up_table(seq_len=16)
    assert "Attention, ms a layer" in done.out and f"--speedup 8 --table {file.name}" in done.out
    assert "latency table" in done.err
    again = cofi("bench", bert_folder, "--table", "-o", "t.json", "--precision", "int8", "--json")
    assert json.loads(again.out) == json.loads(Path("t.json").read_text())
    assert (asked[1].case, asked[1].precision) == (Case(1, 48), "int8")


def test_a_table_at_the_lengths_of_a_task(
    cofi: Cofi, bert_folder: Path, reviews: Path, asked: list[Any]
) -> None:
    own = ("--task", "sst2", "--data", reviews, "--batch", "4", "--seq-len", "task")
    done = cofi("bench", bert_folder, "--table", *own, "-o", "t.json")
    assert done.code == 0, done.err
    assert LatencyTable.model_validate_json(Path("t.json").read_text()).task == "sst2"
    assert {len(b["input_ids"]) for b in asked[0].batches} == {4}
    assert len({len(b["input_ids"][0]) for b in asked[0].batches}) > 1


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ("--table", "--batch", "1,32"),
            "A latency table describes one case, but --batch is 1,32.",
        ),
        (("--table", "other"), "A latency table describes one model, but 2 are named."),
        (
            ("--table", "--precision", "fp4"),
            "precision is 'fp4' (--precision); it should be 'fp32'",
        ),
        (("--table", "--threads", "0"), "threads is 0 (--threads); it should"),
        (("--table", "--seq-len", "task"), "no task whose rows give the lengths"),
        (
            ("--precision", "int8"),
            "--precision int8 sets the precision of a latency table, but --table is not given.",
        ),
    ],
)
def test_tables_that_are_refused(
    cofi: Cofi, bert_folder: Path, flags: tuple[str, ...], text: str
) -> None:
    done = cofi("bench", bert_folder, *flags)
    assert done.code == USAGE and text in done.err.replace("\n", " ")
    assert not list(Path().glob("*.json"))
