import pytest

from cofi_cli.benchmarking.gates.thresholds import drop_gates, speedup_gates
from cofi_cli.benchmarking.refuse import check_gates
from cofi_cli.errors import GATE, CofiError
from cofi_cli.report.tables import gate_table
from cofi_cli.runs.records import SpeedupGate, gate_error
from tests.records import bench_plan, bench_result, speedup_row


def row(case, ratio, verdict="faster", model="model"):
    return speedup_row(model, ratio, case=case, verdict=verdict)


ROWS = [row("b1-s128", 9.0), row("b32-s128", 7.5)]


def test_the_worst_case_is_judged():
    (gate,) = speedup_gates(ROWS, 8)
    assert gate == SpeedupGate(
        model="model",
        case="b32-s128",
        threshold=8,
        value=7.5,
        vs="dense",
        equal_precision=True,
        passed=False,
    )


def test_a_named_case_is_judged_alone():
    (gate,) = speedup_gates(ROWS, 8, case="b1-s128")
    assert gate.passed
    assert gate.value == 9.0


def test_a_threshold_that_is_just_met_passes():
    assert speedup_gates(ROWS, 7.5)[0].passed


def test_a_bound_that_is_met_but_for_rounding_passes():
    """872 rows: 4 of them are 0.4587 points, whose difference has digits of its own."""
    dense, model = (100 * (right / 872) for right in (760, 756))
    allowed = 100 * 4 / 872
    assert dense - model > allowed, "by rounding alone"
    (gate,) = drop_gates({"dense": dense, "model": model}, "dense", allowed)
    assert gate.passed
    assert speedup_gates([row("b1-s8", 1.1 + 2.2)], 3.3)[0].passed
    assert speedup_gates([row("b1-s8", 3.3)], 1.1 + 2.2)[0].passed
    assert not drop_gates({"dense": dense, "model": model - 1e-6}, "dense", allowed)[0].passed
    assert not drop_gates({"dense": float("nan"), "model": 1.0}, "dense", 1.0)[0].passed


def test_a_speedup_that_is_none_counts_as_one():
    (gate,) = speedup_gates([row("b1-s8", 1.4, verdict="none")], 1.2)
    assert gate.value == 1.0
    assert not gate.passed


def test_each_model_is_judged():
    rows = speedup_gates([*ROWS, row("b1-s128", 20.0, model="other")], 8)
    assert [(r.model, r.passed) for r in rows] == [("model", False), ("other", True)]


def test_drop_is_in_points_and_a_gain_passes():
    rows = drop_gates({"dense": 90.0, "a": 88.5, "b": 91.0}, "dense", 1.0)
    assert [(r.model, r.value, r.passed) for r in rows] == [
        ("a", 1.5, False),
        ("b", -1.0, True),
    ]


def test_a_drop_is_told_with_its_error():
    (gate,) = drop_gates({"dense": 90.0, "a": 88.5}, "dense", 1.0, errors={"a": 0.6})
    assert not gate.passed
    error = gate_error([gate])
    assert error is not None
    assert "a loses 1.50 points of score (standard error 0.60), allowed is 1" in error.message


def test_the_error_names_every_gate_that_failed():
    gates = speedup_gates(ROWS, 8) + drop_gates({"dense": 90.0, "model": 88.5}, "dense", 1.0)
    error = gate_error(gates)
    assert error is not None
    assert error.exit_code == GATE
    assert error.message == (
        "Gate failed: model has a speedup of 7.50 over dense in case b32-s128, needed is 8; "
        "model loses 1.50 points of score, allowed is 1."
    )


def test_no_error_when_all_passed():
    assert gate_error(speedup_gates(ROWS, 2)) is None


@pytest.mark.parametrize(
    ("gates", "name"),
    [
        (speedup_gates([], 2), "min_speedup 2"),
        (drop_gates({"dense": 90.0}, "dense", 0), "max_drop 0"),
        (drop_gates({"model": 90.0}, "dense", 0), "max_drop 0"),
    ],
)
def test_a_threshold_that_judged_nothing_has_failed(gates, name):
    assert gate_error(gates).message == f"Gate failed: {name} found nothing to judge."
    (cells,) = gate_table(bench_result(gates=gates)).rows
    assert cells[2:4] == ("-", "FAILED")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_speedup": 2, "baseline": None}, "min_speedup needs a baseline to compare with"),
        ({"max_drop": 2, "baseline": None}, "max_drop needs a baseline to compare with"),
        ({"max_drop": 2, "task": None}, "max_drop needs scores, and there is no task"),
        (
            {"min_speedup": 2, "gate_case": "b1-s12"},
            "Unknown gate case 'b1-s12'. Did you mean 'b1-s128'? Choices: b1-s128.",
        ),
        (
            {"min_speedup": 2, "gate_model": "modle"},
            "Unknown gate model 'modle'. Did you mean 'model'? Choices: dense, model.",
        ),
        (
            {"max_drop": 2, "gate_model": "dense"},
            "max_drop has no model to judge: dense is the baseline.",
        ),
        (
            {"max_drop": 0, "judged": ("torch/model",), "scored": ["dense"]},
            "max_drop needs scores, and torch/model will have none.",
        ),
        (
            {"max_drop": 0, "scored": ["model"]},
            "max_drop needs scores, and dense will have none.",
        ),
        ({"min_speedup": float("nan")}, "min_speedup is nan; it should be a finite number"),
        ({"max_drop": float("inf")}, "max_drop: 'inf' is neither a number of points, such as 0.5"),
        ({"min_speedup": -1.0}, "min_speedup is -1.0; it should be greater than 0."),
        ({"min_speedup": 0.0}, "min_speedup is 0.0; it should be greater than 0."),
    ],
)
def test_a_gate_without_a_measure_is_refused_beforehand(arguments, message):
    with pytest.raises(CofiError) as caught:
        check_gates(bench_plan(**arguments))
    assert message in caught.value.message
    assert caught.value.exit_code == 2
