"""A speed as the target: by a table, and by a clock that tells another than the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.cost import LatencyCost, LatencyTable
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import Widths
from cofi_cli.report.report import render_report
from cofi_cli.runs import RunDir, read_json
from cofi_cli.runs.records import RunReport
from cofi_cli.training import Interrupted, prune
from cofi_cli.training.dry_run import dry_run
from tests.latency_tables import made_up_table, save_table
from tests.stopping import StopAt, assert_same_weights
from tests.tiny import quick_config

SPEEDUP = 3.0
SLOWER = 1.2
"""Times the table's, that a call takes by the clock."""


class Clock:
    """Measures by arithmetic: a made-up table, and times that are not quite its own."""

    def __init__(self) -> None:
        self.tables, self.timed = 0, 0

    def table(self, *_: Any) -> LatencyTable:
        self.tables += 1
        return made_up_table()

    def time(
        self, model: CofiForTask, dense: CofiForTask, table: LatencyTable, *_: Any
    ) -> MeasuredSpeed:
        self.timed += 1
        cost, own = LatencyCost(table), model.config
        widths = Widths(tuple(own.layer_heads), tuple(own.layer_ffn), own.hidden_size)
        seconds = SLOWER * cost.exact(widths)
        assert dense.config.layer_ffn == [cost.shape.ffn] * cost.shape.n_layers
        ratio = cost.dense / seconds
        return MeasuredSpeed(seconds, cost.dense, ratio, (0.99 * ratio, 1.01 * ratio))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_table(tmp_path_factory.mktemp("table") / "table.json")


@pytest.fixture(scope="module")
def config(bert_folder: Path, reviews: Path) -> RunConfig:
    return asked(bert_folder, reviews, None)


def asked(bert: Path, data: Path, table: Path | None, **changes: Any) -> RunConfig:
    named = None if table is None else str(table)
    wanted = {"sparsity": None, "speedup": SPEEDUP, "table": named}
    return quick_config(bert, data, prune=wanted | changes)


@pytest.fixture(scope="module")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("finished") / "run")
    clock = Clock()
    prune(config, run, stopwatch=clock)
    assert clock.tables == 1 and 2 <= clock.timed <= 3
    return run


def test_the_model_is_as_fast_as_asked_by_the_clock(finished: RunDir) -> None:
    report, plan = RunReport.read(finished.report_json), PrunePlan(**read_json(finished.plan))
    cost = LatencyCost(made_up_table())
    found = report.latency_target
    assert (found.speedup, found.seconds) == (SPEEDUP, None)
    assert found.expected_speedup == pytest.approx(cost.dense / cost.exact(plan.widths))
    first, *_, last = found.tried
    assert first.expected_speedup >= SPEEDUP - 1e-3 and first.speedup < 0.9 * SPEEDUP
    assert last == found.measured and last.speedup == pytest.approx(SPEEDUP, rel=0.03)
    assert found.expected_speedup == pytest.approx(last.expected_speedup)
    assert report.missed is None
    assert LatencyTable.model_validate_json(finished.latency_table.read_text()) == made_up_table()
    written = [render_report(report), (finished.model / "README.md").read_text()]
    assert all("asked 3 times the dense model's speed" in text for text in written)
    assert all("measured before recovery" in text for text in written)
    assert found.dense_seconds == pytest.approx(cost.dense)
    assert found.setting.model_dump() == {
        "provider": "cpu",
        "precision": "fp32",
        "batch": 1,
        "seq_len": 128,
        "threads": 1,
    }
    assert report.sparsity.target is None
    assert report.sparsity.realised == pytest.approx(plan.sparsity)


def test_a_preview_is_as_fast_as_asked_by_the_clock(
    bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    clock = Clock()
    config = asked(bert_folder, reviews, None, method="fast")
    report = prune(config, RunDir(tmp_path / "run"), stopwatch=clock)
    assert clock.timed >= 2 and report.stages["prune"].steps == 0
    assert report.latency_target.measured.speedup == pytest.approx(SPEEDUP, rel=0.05)


def test_expected_speed_is_held_past_the_ramp(finished: RunDir) -> None:
    rows = [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    held = [row for row in rows if row.get("target_speedup") == pytest.approx(SPEEDUP)]
    assert len(held) >= 20
    assert max(abs(row["expected_speedup"] - SPEEDUP) for row in held) < 0.01
    assert all(0 < row["expected_sparsity"] < 1 for row in held)
    assert any("realised_speedup" in row and "realised_sparsity" in row for row in rows)


def test_a_stopped_run_ends_as_the_others_do(
    config: RunConfig, finished: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    stop = StopAt("prune", 30)
    with pytest.raises(Interrupted):
        prune(config, run, progress=stop, stopwatch=(first := Clock()))
    prune(config, run, resume=True, stopwatch=(second := Clock()))
    assert (first.tables, second.tables) == (1, 0), "the run keeps its table"
    assert_same_weights(run, finished)


def test_without_a_table_and_a_clock(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="neither a latency table nor a stopwatch"):
        prune(config, RunDir(tmp_path / "run"))


def test_a_speed_out_of_reach_states_the_range(
    bert_folder: Path, reviews: Path, table: Path
) -> None:
    most = dry_run(asked(bert_folder, reviews, table))["reachable_speedup"]
    assert most[0] == 1.0 and most[1] > SPEEDUP
    with pytest.raises(CofiError) as caught:
        dry_run(asked(bert_folder, reviews, table, speedup=50))
    assert "prune.speedup 50 cannot be reached: by " in caught.value.message
    assert f"the reachable range is 1 to {most[1]:.2f}" in caught.value.message
    with pytest.raises(CofiError, match=r"with prune\.gates ffn alone") as caught:
        dry_run(asked(bert_folder, reviews, table, gates=("ffn",)))
    assert "prune.gates" in str(caught.value.hint)


def test_a_table_that_is_not_there(bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="Cannot read the latency table"):
        prune(asked(bert_folder, reviews, tmp_path / "none.json"), RunDir(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.yaml").exists()
