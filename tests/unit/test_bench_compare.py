"""Against an earlier bench.json: what fails, what is noise, what is not compared."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cofi_cli.benchmarking.gates.fail_if import parse_conditions
from cofi_cli.benchmarking.gates.previous_result import Earlier, differences, load_earlier
from cofi_cli.benchmarking.gates.regression import compare, few_runs, regression_gates
from cofi_cli.benchmarking.refuse import check_comparison
from cofi_cli.errors import GATE, USAGE, CofiError
from cofi_cli.report.tables import change_table, gate_table
from cofi_cli.runs.records import BenchResult, CaseRow, ChangeGate, gate_error
from cofi_cli.runtime.statistics import change, summarize
from cofi_cli.runtime.timing import Case
from tests.records import bench_plan, bench_result, case_row, model_row, score_row, speedup_row


def case(model: str, name: str, turns: list[list[float]], **changes: Any) -> CaseRow:
    of = summarize(turns)
    values = {
        "case": name,
        "runs": of.runs,
        "p90_ms": of.p90,
        "p99_ms": of.p99,
        "mean_ms": of.mean,
        "throughput": 1000 / of.mean,
        "samples_ms": turns,
    }
    return case_row(model, of.p50, **values | changes)


def turns(center: float, *, spread: float = 0.01, seed: int = 0) -> list[list[float]]:
    values: list[list[float]] = np.random.default_rng(seed).normal(
        center, spread * center, size=(10, 5)
    )
    return np.asarray(values).tolist()


def result(
    model: float = 2.0, dense: float = 30.0, *, score: float = 90.0, seed: int = 0
) -> BenchResult:
    return bench_result(
        models=[model_row(name, bytes=5_000_000) for name in ("dense", "model")],
        cases=[
            case("dense", "b1-s128", turns(dense, seed=seed)),
            case("model", "b1-s128", turns(model, seed=seed + 1)),
        ],
        speedups=[],
        headline=[],
        scores=[score_row("model", score, rows=9, rows_in_all=9)],
    )


def change_of(record: Any, **changes: Any) -> Any:
    """Return a record or a part of one with other values."""
    return record.model_copy(update=changes)


def with_case(values: BenchResult, *rows: CaseRow) -> BenchResult:
    return change_of(values, cases=[*values.cases, *rows])


def judge(before: BenchResult, now: BenchResult, *texts: str, **options: Any) -> list[ChangeGate]:
    rows = compare(Earlier(Path("old.json"), before), now)
    options = {"judged": ["model"], "baseline": "dense"} | options
    return regression_gates(parse_conditions(texts), rows, **options)


def test_a_slower_model_fails_and_says_all() -> None:
    (gate,) = judge(result(2.0), result(2.2, dense=30.6, seed=5), "p50>+5%")
    assert not gate.passed and gate.outcome == "failed"
    assert gate.value == pytest.approx(10, abs=1.5)
    assert gate.interval[0] > 1.05
    assert (gate.model, gate.case, gate.threshold, gate.unit) == (
        "model",
        "b1-s128",
        5.0,
        "%",
    )
    error = gate_error([gate])
    assert error is not None and error.exit_code == GATE
    for words in (
        "p50 of model b1-s128 changed by +",
        "'p50>+5%' allows +5%",
        "the baseline itself by +",
    ):
        assert words in error.message


def noisy(center: float, *, seed: int) -> list[list[float]]:
    """Turns in moods that differ by a third."""
    rng = np.random.default_rng(seed)
    moods = rng.lognormal(0, 0.3, size=(10, 1))
    values: list[list[float]] = (center * moods * rng.lognormal(0, 0.01, size=(10, 5))).tolist()
    return values


@pytest.mark.parametrize(
    ("after", "is_noisy", "condition", "outcome"),
    [
        (2.0, False, "p50>+5%", "passed"),
        (2.1, False, "p50>+5%", "too noisy"),  # just at what is allowed
        (2.2, False, "p50>+5%", "failed"),
        (2.0, True, "p50>+5%", "too noisy"),
        (2.0, True, "p50>+150%", "passed"),
        (3.2, True, "p50>+5%", "failed"),  # far beyond it, and its interval holds 1
        (3.2, True, "p50>+0.1ms", "failed"),
        (2.0, False, "p50>+0.1ms", "passed"),
        (1.0, False, "p50>+0%", "passed"),
        (2.001, True, "p50>+0%", "too noisy"),
        (2.0, True, "throughput<-5%", "too noisy"),
        (2.0, False, "throughput<-5%", "passed"),
        (2.2, False, "throughput<-5%", "failed"),
    ],
)
def test_both_ends_of_the_interval_are_judged(
    after: float, is_noisy: bool, condition: str, outcome: str
) -> None:
    old, new = result(2.0), result(after, seed=5)
    if is_noisy:
        # Equal moods in another order: the medians change by what is asked, the noise is large.
        noise = noisy(after, seed=3)[::-1]
        old = change_of(old, cases=[case("model", "b1-s128", noisy(2.0, seed=3))])
        new = change_of(new, cases=[case("model", "b1-s128", noise)])
    (gate,) = judge(old, new, condition)
    low, high = gate.interval
    assert (high > 1.5 * low) is is_noisy
    assert gate.outcome == outcome
    assert gate.passed is (outcome == "passed")
    assert ("too noisy to say" in gate.describe()) is (outcome == "too noisy")
    (cells,) = gate_table(bench_result(gates=[gate])).rows
    assert cells[3] == ("passed" if outcome == "passed" else outcome.upper())


def with_speedup(values: BenchResult, vs: str = "dense") -> BenchResult:
    p50 = {row.model: row.p50_ms for row in values.cases}
    return change_of(values, speedups=[speedup_row("model", p50["dense"] / p50["model"], vs=vs)])


def test_a_speedup_is_moved_by_no_machine() -> None:
    """A session that is a quarter slower fails every latency; the model is as it was."""
    old, slower = with_speedup(result(2.0, 30.0)), with_speedup(result(2.5, 37.5, seed=5))
    assert [g.passed for g in judge(old, slower, "p50>+5%", "speedup<-5%")] == [False, True]
    worse = with_speedup(result(2.5, 30.0, seed=5))
    (gate,) = judge(old, worse, "speedup<-5%")
    assert gate.outcome == "failed" and gate.value == pytest.approx(-20, abs=2)
    assert gate.interval[0] < gate.after / gate.before < gate.interval[1] < 1
    assert "speedup of model b1-s128 changed by -" in gate.describe()
    (absolute,) = judge(old, worse, "speedup<-1x")
    assert absolute.outcome == "failed" and absolute.value == pytest.approx(-3, abs=0.3)


def test_the_moods_of_a_session_cancel_out_of_a_speedup() -> None:
    """Dense and model share each turn's mood: their ratio is sharp, their latencies are not."""
    both = []
    for seed in (1, 2):
        model, dense = noisy(2.0, seed=seed), noisy(30.0, seed=seed)
        cases = [case("dense", "b1-s128", dense), case("model", "b1-s128", model)]
        both.append(change_of(result(), cases=cases))
    old, new = both
    latency, speedup = judge(with_speedup(old), with_speedup(new), "p50>+5%", "speedup<-5%")
    assert latency.outcome != "passed" and speedup.outcome == "passed"


def test_a_speedup_over_another_baseline_is_not_compared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (gate,) = judge(with_speedup(result(), vs="torch/dense"), with_speedup(result()), "speedup<-5%")
    assert not gate.passed and gate.value is None
    words = "The speedup of model in b1-s128 is not compared: vs torch/dense before, vs dense now."
    assert words in caplog.text


def test_a_throughput_falls_where_the_mean_rises() -> None:
    (gate,) = judge(result(2.0), result(2.5, seed=5), "throughput<-10%")
    assert not gate.passed
    assert gate.value == pytest.approx(-20, abs=2)
    low, high = gate.interval
    assert low < gate.after / gate.before < high < 1


def test_scores_and_sizes_have_no_noise() -> None:
    now = result(score=89.4)
    now = change_of(now, models=[now.models[0], model_row("model", bytes=5_600_000)])
    gates = judge(result(), now, "score<-0.5", "size>+0.5MB", "memory>+5%", "cold-start>+1s")
    assert [g.passed for g in gates] == [False, False, True, True]
    assert [g.interval for g in gates] == [None] * 4
    assert gates[0].value == pytest.approx(-0.6)
    assert gates[1].value == pytest.approx(0.6)


def test_only_what_is_judged_is_judged() -> None:
    now = result(2.0, dense=60.0)
    assert [g.model for g in judge(result(), now, "p50>+5%")] == ["model"]
    both = judge(result(), now, "p50>+5%", judged=["model", "dense"])
    assert {g.model: g.passed for g in both} == {"model": True, "dense": False}
    assert next(g for g in both if g.model == "dense").baseline_ratio is None


def test_a_named_case_is_judged_alone_but_sizes_all_the_same() -> None:
    old = with_case(result(), case("model", "b32-s128", turns(20.0)))
    new = with_case(result(), case("model", "b32-s128", turns(40.0)))
    assert [g.passed for g in judge(old, new, "p50>+5%")] == [True, False]
    assert [g.case for g in judge(old, new, "p50>+5%", case="b1-s128")] == ["b1-s128"]
    assert [g.passed for g in judge(old, new, "size>+5%", case="b1-s128")] == [True]


def test_a_condition_that_found_nothing_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    now = change_of(result(), scores=[score_row(rows=5)])
    with caplog.at_level(logging.WARNING, logger="cofi_cli"):
        (gate,) = judge(result(), now, "score<-0.5")
    assert not gate.passed
    assert "'score<-0.5' found nothing to compare score with" in gate.describe()
    assert "not compared: task sst2, metric accuracy, rows 9 before" in caplog.text


def test_rows_of_other_lengths_are_not_compared(caplog: pytest.LogCaptureFixture) -> None:
    def own(rows: int, length: float) -> CaseRow:
        lengths = {"rows": rows, "mean_tokens": length, "mean_length": length}
        return case("model", "b1-task", turns(2.0), **lengths)

    old, now = with_case(result(), own(872, 25.0)), with_case(result(4.0), own(408, 53.0))
    gates = judge(old, now, "p50>+10%")
    assert [gate.case for gate in gates] == ["b1-s128"], "not b1-task"
    words = "b1-task of model is not compared: rows 872, mean_length 25.0 before, rows 408, mean_"
    assert caplog.text.count(words) == 1
    (gate,) = judge(old, now, "p50>+10%", case="b1-task")
    assert not gate.passed and gate.value is None
    assert len(judge(old, with_case(result(4.0), own(872, 25.0)), "p50>+10%")) == 2


def test_memory_is_compared_over_the_same_cases(caplog: pytest.LogCaptureFixture) -> None:
    old, now = result(), with_case(result(), case("model", "b32-s128", turns(2.0)))
    (gate,) = judge(old, now, "memory>+5%")
    assert not gate.passed and gate.value is None
    words = (
        "The memory of model is not compared: it is the peak over b1-s128 before, over b1-s128, "
    )
    assert words in caplog.text
    assert judge(old, result(), "memory>+5%")[0].passed


def test_every_figure_is_compared() -> None:
    rows = compare(Earlier(Path("old.json"), result()), result(4.0))
    assert {row.metric for row in rows if row.model == "model"} == {
        "p50",
        "p90",
        "p99",
        "mean",
        "throughput",
        "score",
        "memory",
        "cold-start",
        "size",
    }
    (p50,) = [row for row in rows if (row.model, row.metric) == ("model", "p50")]
    assert p50.ratio == pytest.approx(2, rel=0.02)
    comparison = {"file": "old.json", "environment": [], "notes": [], "rows": rows}
    table = change_table(bench_result(comparison=comparison))
    assert table.title == "Against old.json"
    assert [row[:2] for row in table.rows if row[0].startswith("model")] == [
        ("model b1-s128", "p50 (ms)"),
        ("model", "score (points)"),
        ("model", "memory (MB)"),
        ("model", "cold-start (s)"),
        ("model", "size (MB)"),
    ]


def test_what_differs_in_the_environment_is_named() -> None:
    env = result().env
    assert differences(env, env) == []
    other = change_of(env, cpu="B", threads=4, onnxruntime="1.33.0")
    assert differences(env, other) == [
        "processor Some CPU before, B now",
        "threads 2 before, 4 now",
        "onnxruntime 1.32.0 before, 1.33.0 now",
    ]


def check(*texts: str, **options: Any) -> list[str]:
    plan = bench_plan(conditions=parse_conditions(texts), **options)
    return check_comparison(plan, Earlier(Path("old.json"), result()))


def test_what_does_not_match_is_named() -> None:
    assert check() == []
    assert check(models=["dense", "other"], cases=[Case(2, 8)]) == [
        "Model other: not in old.json; not compared.",
        "Model model: only in old.json; not compared.",
        "Case b2-s8: not in old.json; not compared.",
        "Case b1-s128: only in old.json; not compared.",
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "p50>+5%",
            {"cases": [Case(2, 8)]},
            "--fail-if 'p50>+5%' has nothing to compare with: old.json has p50 of dense, model in "
            "b1-s128; to be judged here are model in b2-s8.",
        ),
        (
            "size>+5%",
            {"judged": ["other"]},
            "old.json has size of dense, model; to be judged here are other.",
        ),
        ("score<-1", {"judged": ["dense"]}, "old.json has score of model; to be judged"),
        (
            "memory>+5%",
            {"cases": [Case(1, 128), Case(32, 128)], "gate_case": "b1-s128"},
            "'memory>+5%' has nothing to compare with: it is the peak over b1-s128 before, over "
            "b1-s128, b32-s128 now.",
        ),
        ("score<-1", {"scored": ()}, "'score<-1' needs scores, and there is no task"),
    ],
)
def test_what_could_not_be_judged_is_refused_beforehand(
    text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CofiError) as caught:
        check(text, **options)
    assert caught.value.exit_code == USAGE
    assert message in caught.value.message
    assert caught.value.hint


def test_too_few_runs_are_named() -> None:
    values = result()
    now = change_of(values, cases=[values.cases[0], change_of(values.cases[1], runs=4)])
    assert few_runs(now) == few_runs(now, Earlier(Path("o"), result())) == ["model b1-s128 (4 now)"]
    assert few_runs(result(), Earlier(Path("o"), now)) == ["model b1-s128 (4 before)"]


def test_an_earlier_result_is_read_from_its_file_or_folder(tmp_path: Path) -> None:
    result(score=-3.5).write(tmp_path / "bench.json")  # a correlation
    assert load_earlier(tmp_path) == load_earlier(tmp_path / "bench.json")
    assert [row.name for row in load_earlier(tmp_path).result.models] == ["dense", "model"]
    assert load_earlier(tmp_path).result.scores[0].score == -3.5


def test_a_ratio_of_percentiles_against_a_closed_form() -> None:
    before = [[1.0, 2.0, 3.0, 4.0, 5.0]] * 3
    after = [[3 * run for run in turn] for turn in copy.deepcopy(before)]
    for statistic in ("p50", "p90", "p99", "mean"):
        found = change(before, after, statistic)
        assert found.ratio == pytest.approx(3)
        assert found.low < 3 < found.high
    constant = change([[2.0, 2.0]] * 4, [[5.0]] * 3, "p90")
    assert (constant.ratio, constant.low, constant.high) == (2.5, 2.5, 2.5)


def test_two_measurements_of_one_model_are_mostly_noise() -> None:
    """Turns share a mood; at 95 % few of 40 pairs may look changed, whatever the statistic."""
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(40):
        moods = rng.lognormal(0, 0.1, size=(2, 10, 1))
        a, b = moods * rng.lognormal(0, 0.02, size=(2, 10, 5))
        found += not change(a.tolist(), b.tolist(), "mean").is_noise
    assert found <= 7
