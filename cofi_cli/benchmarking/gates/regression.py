"""Against an earlier bench.json: what changed, what is noise, what may not be compared at all."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

from cofi_cli.benchmarking.gates.compatibility import peaks, place_of, unlike
from cofi_cli.benchmarking.gates.fail_if import Condition
from cofi_cli.benchmarking.gates.metrics import MEASURES, Measure
from cofi_cli.benchmarking.gates.previous_result import Earlier
from cofi_cli.errors import CofiError
from cofi_cli.runtime import statistics

logger = logging.getLogger(__name__)

Row = dict[str, Any]

SAME = {
    "cpu": "processor",
    "flags": "instruction sets",
    "cores": "cores",
    "logical_cores": "logical cores",
    "gpu": "GPU",
    "driver": "GPU driver",
    "provider": "provider",
    "threads": "threads",
    "onnxruntime": "onnxruntime",
}
"""Key of ``env`` -> what it is called. Where one differs, so may every latency."""

FAR = 2.0
"""A change of so many times what a condition allows fails, however noisy it is."""

FEW_RUNS = 5
"""Below so many runs an interval knows little of the noise."""


def check_comparison(
    earlier: Earlier,
    conditions: Sequence[Condition],
    *,
    models: Sequence[str],
    judged: Sequence[str],
    cases: Sequence[str],
    all_cases: Sequence[str] | None = None,
    has_scores: bool,
) -> list[str]:
    """Refuse before measuring what could not be judged after it; return what does not match.

    Args:
        earlier: the result to compare with.
        conditions: what may not happen.
        models: names that will be measured.
        judged: those of them that thresholds apply to.
        cases: names of the cases that will be judged.
        all_cases: names of those that will be measured; by default the same.
        has_scores: whether there will be scores.

    Raises:
        CofiError: a condition has nothing to be held against.
    """
    notes = []
    measured = cases if all_cases is None else all_cases
    for what, now, before in (("Model", models, earlier.models), ("Case", measured, earlier.cases)):
        if new := [name for name in now if name not in before]:
            notes.append(f"{what} {', '.join(new)}: not in {earlier.path}; not compared.")
        if gone := [name for name in before if name not in now]:
            notes.append(f"{what} {', '.join(gone)}: only in {earlier.path}; not compared.")
    for condition in conditions:
        measure = condition.measure
        theirs = {
            model
            for model, case, _ in measure.values(earlier.values)
            if case is None or case in cases
        }
        if not theirs & set(judged):
            raise CofiError(
                f"--fail-if '{condition.text}' has nothing to compare with: {earlier.path} has "
                f"{measure.name} of {_places(earlier, measure)}; to be judged here are "
                f"{_named(judged, cases if measure.per_case else ())}.",
                hint="Measure the same models and cases: --batch, --seq-len, --gate-case.",
            )
        if measure.over_cases and set(measured) != set(earlier.cases):
            raise CofiError(
                f"--fail-if '{condition.text}' has nothing to compare with: "
                f"{peaks(earlier.cases, measured)}.",
                hint="Measure the same cases: --batch, --seq-len.",
            )
        if measure.section == "scores" and not has_scores:
            raise CofiError(
                f"--fail-if '{condition.text}' needs scores, and there is no task to score on.",
                hint="Benchmark a run, or name the task with --task; PyTorch models are scored "
                "with --torch.",
            )
    return notes


def differences(before: Row, now: Row) -> list[str]:
    """Say what is not the same in two environments; latencies may differ by that alone."""
    return [
        f"{words} {_flat(before.get(key))} before, {_flat(now.get(key))} now"
        for key, words in SAME.items()
        if before.get(key) != now.get(key)
    ]


def compare(earlier: Earlier, now: Row) -> list[Row]:
    """Return a row for every figure that both results hold, for the same model and case.

    What is of other rows or other cases has none; a warning says so.

    Args:
        earlier: the result to compare with.
        now: bench.json's content of the new one.

    Returns:
        Rows of ``model``, ``case``, ``metric``, ``unit``, ``before``, ``after``, the
        ``ratio`` after over before (``None`` where before is 0), its 95 % ``interval``
        where there are raw samples, and ``noise``: whether that holds 1.
    """
    rows, others = [], unlike(earlier.values, now)
    for note in others.values():
        logger.warning("%s", note)
    for measure in MEASURES.values():
        olds = {(model, case): value for model, case, value in measure.values(earlier.values)}
        for model, case, after in measure.values(now):
            before = olds.get((model, case))
            places = {place_of(measure, model, case), ("cases", model, case)}
            if before is None or places & others.keys():
                continue
            change = _change(measure, model, case, earlier.values, now)
            rows.append(
                {
                    "model": model,
                    "case": case,
                    "metric": measure.name,
                    "unit": measure.unit,
                    "before": before,
                    "after": after,
                    "ratio": after / before if before else None,
                    "interval": None if change is None else [change.low, change.high],
                    "noise": change is not None and change.is_noise,
                }
            )
    return rows


def regression_gates(
    conditions: Sequence[Condition],
    rows: Sequence[Row],
    *,
    judged: Sequence[str],
    baseline: str | None,
    case: str | None = None,
    unmeasured: Sequence[Row] = (),
) -> list[Row]:
    """Hold every judged figure against every condition.

    Latencies, throughput and speedups are judged by the whole interval of their change:
    it passes where all of it is allowed, fails where none is, and is otherwise too noisy to
    say, which fails as well. How much the baseline itself moved stands beside it, for where
    both did it was the machine.

    Args:
        conditions: what may not happen.
        rows: of :func:`compare`.
        judged: names of the models that are held against them.
        baseline: whose own change is told.
        case: judge this one alone; figures that belong to no case are judged all the same.
        unmeasured: cases that have no latencies now, each of which fails.
    """
    gates = []
    for condition in conditions:
        own = [row for row in rows if row["metric"] == condition.measure.name]
        moved = {row["case"]: row["ratio"] for row in own if row["model"] == baseline}
        chosen = [row for row in own if row["model"] in judged and case in (None, row["case"])]
        if not condition.measure.per_case:
            chosen = [row for row in own if row["model"] in judged]
        for row in chosen:
            beside = moved.get(row["case"]) if row["model"] != baseline else None
            gates.append(_gate(condition, row, baseline_ratio=beside))
        if condition.measure.per_case:
            missing = [row for row in unmeasured if case in (None, row["case"])]
            for row in missing:
                known = {"metric": condition.measure.name, "case": row["case"]}
                gates.append(_gate(condition, known) | {"reason": row["reason"]})
            chosen += missing
        if not chosen:  # told apart from the models that were not known before: they are notes
            gates.append(_gate(condition, {"metric": condition.measure.name}))
    return gates


def _gate(condition: Condition, row: Row, *, baseline_ratio: float | None = None) -> Row:
    """Return a gate's row; one without figures has failed, for it was asked for in vain."""
    keys = ("model", "case", "metric", "before", "after", "interval")
    before, after = row.get("before"), row.get("after")
    value = None if before is None or after is None else condition.change(before, after)
    outcome = "failed" if value is None else _outcome(condition, before, value, row.get("interval"))
    return {
        "name": "fail_if",
        "expression": condition.text,
        "threshold": condition.amount,
        "unit": condition.unit,
        "value": value if value is None or math.isfinite(value) else None,
        **{key: row.get(key) for key in keys},
        "outcome": outcome,
        "baseline_ratio": baseline_ratio,
        "passed": outcome == "passed",
    }


def _outcome(
    condition: Condition, before: Any, value: float, interval: list[float] | None
) -> Literal["passed", "failed", "too noisy"]:
    """Judge a change by both ends of its interval, or by itself where it has none."""
    ends = [condition.change(before, before * ratio) for ratio in interval or ()] or [value]
    fails = [condition.holds(end) for end in ends]
    is_far = condition.amount != 0 and condition.holds(value / FAR)
    if all(fails) or is_far:
        return "failed"
    return "too noisy" if any(fails) else "passed"


def _change(
    measure: Measure, model: str, case: str | None, before: Row, now: Row
) -> statistics.Change | None:
    """Return how a latency or speedup changed, with its interval; ``None`` without raw samples."""
    if measure.section == "speedups":
        return _speedup_change(model, case, before, now)
    if measure.statistic is None:
        return None
    turns = [_samples(values, model, case) for values in (before, now)]
    if not all(turns):
        return None
    change = statistics.change(turns[0], turns[1], measure.statistic)
    if measure.key != "throughput":
        return change
    return statistics.Change(1 / change.ratio, 1 / change.high, 1 / change.low)


def _speedup_change(
    model: str, case: str | None, before: Row, now: Row
) -> statistics.Change | None:
    place = model, case
    baseline = next(r["vs"] for r in now["speedups"] if (r["model"], r["case"]) == place)
    sessions = [
        (_samples(values, baseline, case), _samples(values, model, case))
        for values in (before, now)
    ]
    if not all(own and len(base) == len(own) for base, own in sessions):
        return None
    return statistics.speedup_change(*sessions)


def _samples(values: Row, model: str, case: str | None) -> list[list[float]]:
    for row in values["cases"]:
        if (row["model"], row["case"]) == (model, case):
            return [turn for turn in row.get("samples_ms") or [] if turn]
    return []


def few_runs(now: Row, earlier: Earlier | None = None) -> list[str]:
    """Name the cases of either result that have too few runs to know their noise."""
    both = [("now", now), *([] if earlier is None else [("before", earlier.values)])]
    return [
        f"{row['model']} {row['case']} ({row['runs']} {when})"
        for when, values in both
        for row in values["cases"]
        if row.get("runs", FEW_RUNS) < FEW_RUNS
    ]


def _places(earlier: Earlier, measure: Measure) -> str:
    found = list(measure.values(earlier.values))
    cases = dict.fromkeys(case for _, case, _ in found if case is not None)
    return _named(list(dict.fromkeys(model for model, _, _ in found)), list(cases))


def _named(models: Sequence[str], cases: Sequence[str]) -> str:
    if not models:
        return "no model"
    return ", ".join(models) + (f" in {', '.join(cases)}" if cases else "")


def _flat(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
