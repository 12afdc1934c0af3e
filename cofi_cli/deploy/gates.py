"""Thresholds that a benchmark must pass, for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cofi_cli.errors import GATE, CofiError, unknown

Row = dict[str, Any]


def check_gates(
    min_speedup: float | None,
    max_drop: float | None,
    *,
    case: str | None,
    cases: Sequence[str],
    has_baseline: bool,
    has_task: bool,
) -> None:
    """Refuse before minutes of measuring what could not be judged after them.

    Raises:
        CofiError: a threshold has nothing to be held against.
    """
    for name, value in (("min_speedup", min_speedup), ("max_drop", max_drop)):
        if value is not None and not has_baseline:
            raise CofiError(
                f"{name} needs a baseline to compare with.",
                hint="Add --baseline FILE.onnx.",
            )
    if case is not None and case not in cases:
        raise unknown("gate case", case, cases)
    if max_drop is not None and not has_task:
        raise CofiError(
            "max_drop needs scores, and there is no task to score on.",
            hint="Benchmark a run, or name the task with --task.",
        )


def speedup_gates(
    speedups: Sequence[Row], threshold: float, *, case: str | None = None
) -> list[Row]:
    """Judge each model by its slowest case, or by the case named.

    The value is the ratio of medians. A speedup whose interval holds 1 is none
    at all and counts as 1.
    """
    rows = []
    for model in dict.fromkeys(row["model"] for row in speedups):
        own = [r for r in speedups if r["model"] == model and case in (None, r["case"])]
        worst = min(own, key=_counted)
        value = _counted(worst)
        rows.append(
            {
                "name": "min_speedup",
                "model": model,
                "case": worst["case"],
                "threshold": threshold,
                "value": value,
                "passed": value >= threshold,
            }
        )
    return rows


def drop_gates(scores: Mapping[str, float], baseline: str, threshold: float) -> list[Row]:
    """Judge how many points of score each model has lost against the baseline.

    Args:
        scores: headline score by model's name, in points.
        baseline: one of the names.
        threshold: the largest loss that passes, in points.
    """
    rows = []
    for model, score in scores.items():
        if model == baseline:
            continue
        drop = scores[baseline] - score
        rows.append(
            {
                "name": "max_drop",
                "model": model,
                "case": None,
                "threshold": threshold,
                "value": drop,
                "passed": drop <= threshold,
            }
        )
    return rows


def gate_error(gates: Sequence[Row]) -> CofiError | None:
    """Return the error that names every gate that failed (exit code 3), or ``None``."""
    failed = [describe_gate(gate) for gate in gates if not gate["passed"]]
    if not failed:
        return None
    return CofiError(f"Gate failed: {'; '.join(failed)}.", exit_code=GATE)


def describe_gate(gate: Row) -> str:
    """Say in words what a gate found."""
    if gate["name"] == "min_speedup":
        return (
            f"{gate['model']} has a speedup of {gate['value']:.2f} in case {gate['case']}, "
            f"needed is {gate['threshold']:g}"
        )
    return (
        f"{gate['model']} loses {gate['value']:.2f} points of score, "
        f"allowed is {gate['threshold']:g}"
    )


def _counted(row: Row) -> float:
    return 1.0 if row["verdict"] == "none" else float(row["ratio"])
