"""A target is asked of the table again as the clock found it, and the closest plan is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.benchmarking import stopwatch
from cofi_cli.benchmarking.stopwatch import Stopwatch
from cofi_cli.config import PruneConfig
from cofi_cli.exporting import candidates
from cofi_cli.exporting.candidates import Conditions, Ranking
from cofi_cli.exporting.graphs import choice
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification, CofiForTask
from cofi_cli.pruning.cost import LatencyCost
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.runs import machine
from cofi_cli.runtime.timing import Schedule
from cofi_cli.training.stages.target import Target
from cofi_cli.training.stopwatch import close_loop, missed_words
from tests.latency_tables import made_up_table
from tests.unit.test_latency_cost import MINILM, trained_gates

TABLE = made_up_table(MINILM)


def found(seconds: float) -> MeasuredSpeed:
    dense = LatencyCost(TABLE).dense
    return MeasuredSpeed(seconds, dense, dense / seconds, (1.0, 9.0))


@pytest.mark.parametrize("off", [1.3, 0.8])
@pytest.mark.parametrize("asked", [{"speedup": 4.0}, {"latency": "6ms"}])
def test_the_loop_closes(off: float, asked: dict[str, object]) -> None:
    target = Target.of(PruneConfig(**asked), MINILM, TABLE)
    gates = trained_gates(target.reduction, 0)
    saved = {name: value.clone() for name, value in gates.state_dict().items()}

    def again(goal: float) -> PrunePlan:
        gates.load_state_dict(saved)
        gates.hold(goal)
        return decide(gates, goal)

    def measure(plan: PrunePlan) -> MeasuredSpeed:
        return found(off * target.cost.exact(plan.widths))

    first = decide(gates, target.reduction)
    plan, tried = close_loop(target, first, most=0.95, measure=measure, decide=again)
    assert len(tried) == 2 and plan != first
    wanted = target.seconds or target.cost.dense / 4.0
    assert measure(plan).seconds == pytest.approx(wanted, rel=0.03)
    assert missed_words(target, tried[-1]) is None
    words = missed_words(target, tried[0])
    assert words is not None and "the model is measured to be" in words and target.asked in words


def test_the_closest_plan_is_kept_where_none_is_close() -> None:
    target = Target.of(PruneConfig(speedup=4.0), MINILM, TABLE)
    gates, clock = trained_gates(0.75, 0), iter((3.0, 5.5, 2.5, 6.0))
    first, *others = (decide(gates, share) for share in (0.75, 0.8, 0.7, 0.85))
    plans = iter(others)
    plan, tried = close_loop(
        target,
        first,
        most=0.95,
        measure=lambda _: found(LatencyCost(TABLE).dense / next(clock)),
        decide=lambda _: next(plans),
    )
    assert plan == first and [round(row.speedup, 1) for row in tried] == [6.0, 5.5, 2.5, 3.0]


def test_between_a_plan_too_slow_and_one_too_fast_lies_the_next() -> None:
    target = Target.of(PruneConfig(speedup=8.0), MINILM, TABLE)
    gates, goals = trained_gates(target.reduction, 0), []
    first, *others = (decide(gates, share) for share in (target.reduction, 0.9, 0.85))
    plans, clock = iter(others), iter((6.8, 10.9, 8.1))

    def again(goal: float) -> PrunePlan:
        goals.append(1 / (1 - goal))
        return next(plans)

    dense = LatencyCost(TABLE).dense
    plan, tried = close_loop(
        target, first, most=0.99, measure=lambda _: found(dense / next(clock)), decide=again
    )
    assert plan == others[-1] and len(tried) == 3, "close enough"
    assert goals[0] == pytest.approx(8.0 * 8.0 / 6.8, rel=0.02), "as far again as it missed"
    low, high = sorted(1 / (1 - target.reached(one)) for one in (first, others[0]))
    assert low < goals[1] < high


def test_a_plan_that_lost_its_last_layers_does_not_throw_the_next_one_far() -> None:
    target = Target.of(PruneConfig(speedup=8.0), MINILM, TABLE)
    gates, goals = trained_gates(target.reduction, 0), []
    first, other = decide(gates, target.reduction), decide(gates, 0.8)
    clock = iter((30.0, 7.9))

    def again(goal: float) -> PrunePlan:
        goals.append(1 / (1 - goal))
        return other

    dense = LatencyCost(TABLE).dense
    close_loop(target, first, most=0.99, measure=lambda _: found(dense / next(clock)), decide=again)
    assert goals == [pytest.approx(8.0 / 1.5, rel=0.03)]


def test_both_models_are_timed_again_while_the_dense_one_is_slow() -> None:
    def turns(dense: float, model: float) -> dict[str, list[list[float]]]:
        return {"dense": [[dense]], "model": [[model]]}

    clock, watch = iter([turns(4.0, 1.0), turns(6.0, 1.1), {}, turns(4.2, 1.0)]), Stopwatch()
    assert watch._steady(lambda: next(clock)) == turns(4.0, 1.0)
    assert watch._steady(lambda: next(clock)) == turns(4.2, 1.0)
    clock = iter([turns(6.0, 1.0), turns(5.0, 1.2), turns(5.5, 1.1)])
    assert watch._steady(lambda: next(clock)) == turns(5.0, 1.2), "the best of those that there are"


def test_both_models_are_timed_again_while_their_ratio_is_uncertain() -> None:
    wide = {"dense": [[4.0], [4.0], [4.1]], "model": [[1.0], [1.4], [1.2]]}
    wider = {"dense": [[4.0], [4.0], [4.1]], "model": [[1.0], [1.9], [1.2]]}
    narrow = {"dense": [[4.1], [4.1], [4.2]], "model": [[1.0], [1.01], [1.0]]}
    clock, watch = iter([wide, narrow, wider, {}, wide, narrow]), Stopwatch()
    assert watch._steady(lambda: next(clock)) == narrow
    assert watch._steady(lambda: next(clock)) == wide, "the narrowest of those that there are"
    assert next(clock) == narrow, "three times at most"


def test_where_nothing_can_be_measured_the_table_is_believed() -> None:
    target = Target.of(PruneConfig(speedup=4.0), MINILM, TABLE)
    plan = decide(trained_gates(0.75, 0), 0.75)
    assert close_loop(target, plan, most=0.9, measure=lambda _: None, decide=lambda _: plan) == (
        plan,
        [],
    )


def small_model(heads: list[int], ffn: list[int]) -> CofiForSequenceClassification:
    sizes = {"vocab_size": 50, "hidden_size": 16, "head_dim": 8}
    return CofiForSequenceClassification(
        CofiConfig(**sizes, layer_heads=heads, layer_ffn=ffn, max_position_embeddings=32)
    )


def test_a_model_is_timed_as_it_would_be_exported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopwatch, "SCHEDULE", Schedule(runs=4, rounds=2, warmup=1))
    traced: list[CofiForTask] = []

    def trace(own: CofiForTask, *arguments: Any, **options: Any) -> None:
        traced.append(own)
        write_onnx(own, *arguments, **options)

    monkeypatch.setattr(choice, "write_onnx", trace)
    here = machine.describe_machine().model_dump() | machine.versions("onnxruntime")
    table = made_up_table(precision="int8", seq_len=8, environment=here)
    model, dense = small_model([1, 0], [8, 0]), small_model([2, 2], [32, 32])
    watch = Stopwatch(graph="plain", is_watched=False)
    speed = watch.time(model, dense, table, None, None)  # type: ignore[arg-type]
    assert speed is not None and speed.interval[0] <= speed.speedup <= speed.interval[1]
    assert 0 < speed.seconds < 0.1 and 0 < speed.dense_seconds < 0.1
    del traced[:]
    assert watch.time(small_model([1, 1], [8, 8]), dense, table, None, None)  # type: ignore[arg-type]
    assert [own.config.layer_heads for own in traced] == [[1, 1]], "the dense one is known"
    other = small_model([2, 2], [16, 16])
    assert watch.time(model, other, table, None, None)  # type: ignore[arg-type]
    assert [own.config.layer_ffn for own in traced[1:]] == [[8, 0], [16, 16]]
    ranked: list[str] = []

    def rank(files: Mapping[str, Path], _: Conditions) -> Ranking:
        ranked.append(next(iter(files.values())).name.partition("-")[0])
        return Ranking(list(files)[::-1], [])

    monkeypatch.setattr(candidates, "rank", rank)
    watch, exact = Stopwatch(is_watched=False), table.model_copy(update={"precision": "fp32"})
    for plan in ([1, 0], [1, 1]):
        assert watch.time(small_model(plan, [8, 8]), dense, exact, None, None)  # type: ignore[arg-type]
    assert ranked == ["model", "dense", "model"], "the dense one keeps its fastest form"
    elsewhere = table.model_copy(update={"environment": here | {"cpu": "Another"}})
    assert watch.time(model, dense, elsewhere, None, None) is None  # type: ignore[arg-type]
    assert "The latency table is of another machine: cpu Another, not" in caplog.text
