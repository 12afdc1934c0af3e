"""What changed since an earlier result, what of it is noise, and the gates on it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cofi_cli.benchmarking.gates.fail_if import Condition
from cofi_cli.benchmarking.gates.metrics import MEASURES, Measure
from cofi_cli.benchmarking.gates.previous_result import Earlier, place_of, unlike
from cofi_cli.benchmarking.gates.thresholds import missing_part
from cofi_cli.runs.records import (
    BenchResult,
    ChangeGate,
    ChangeRow,
    Interval,
    Outcome,
    UnmeasuredRow,
)
from cofi_cli.runtime import statistics

logger = logging.getLogger(__name__)

FAR = 2.0
"""A change fails from this multiple of what a condition allows, however noisy it is."""

FEW_RUNS = 5
"""Fewest runs from which an interval says something about the noise."""


def compare(
    earlier: Earlier, now: BenchResult, measures: Iterable[Measure] = ()
) -> list[ChangeRow]:
    """Return a row for every figure that both results hold, for the same model and case.

    A figure of other rows or other cases has no row; a warning says so. Parts of the rows are
    compared where one of the ``measures``, those of conditions, asks for them.
    """
    rows, others = [], unlike(earlier.result, now)
    for note in others.values():
        logger.warning("%s", note)
    for measure in ({own.name: own for own in measures} | MEASURES).values():
        olds = {(model, case): value for model, case, value in measure.values(earlier.result)}
        for model, case, after in measure.values(now):
            before = olds.get((model, case))
            places = {place_of(measure, model, case), ("cases", model, case)}
            if before is None or places & others.keys():
                continue
            change = _change(measure, model, case, earlier.result, now)
            ratio = after / before if before else math.inf
            rows.append(
                ChangeRow(
                    model=model,
                    case=case,
                    metric=measure.name,
                    unit=measure.unit,
                    before=before,
                    after=after,
                    ratio=ratio if math.isfinite(ratio) else None,
                    interval=None if change is None else change.interval,
                    noise=change is not None and change.is_noise,
                )
            )
    return rows


_OR_UNLIKE = ", or its rows are not those of the earlier result"


def regression_gates(
    conditions: Sequence[Condition],
    rows: Sequence[ChangeRow],
    *,
    judged: Sequence[str],
    baseline: str | None,
    case: str | None = None,
    unmeasured: Sequence[UnmeasuredRow] = (),
    scored: Mapping[str, bool] | None = None,
) -> list[ChangeGate]:
    """Hold every judged figure against every condition.

    Latencies, throughput and speedups are judged by the whole interval of their change:
    it passes where all of it is allowed, fails where none is, and is otherwise too noisy to
    say, which fails as well. How much the baseline itself moved stands beside it, for where
    both did it was the machine.

    Args:
        conditions: what may not happen.
        rows: of :func:`compare`.
        judged: names of the models that are held against them.
        baseline: whose own change is stated.
        case: judge this one alone; figures that belong to no case are judged all the same.
        unmeasured: cases that have no latencies now, each of which fails.
        scored: models that had a score before and are measured now, and whether they have one now;
            without it, or without that of a part of the rows, they fail.
    """
    gates = []
    for condition in conditions:
        measure, found = condition.measure, list[ChangeGate]()
        own = [row for row in rows if row.metric == measure.name]
        moved = {row.case: row.ratio for row in own if row.model == baseline}
        for row in own:
            if row.model in judged and (not measure.per_case or case in (None, row.case)):
                beside = moved.get(row.case) if row.model != baseline else None
                found.append(_judged(condition, row, baseline_ratio=beside))
        if measure.per_case:
            missing = [row for row in unmeasured if case in (None, row.case)]
            found += [_gate(condition, case=row.case, reason=row.reason) for row in missing]
        if scored is not None and measure.section == "scores":
            with_figure = {row.model for row in own}
            for model in sorted(scored.keys() & set(judged)):
                if not scored[model]:
                    why = f"{model} has no score now"
                elif measure.is_part and model not in with_figure:
                    why = missing_part(model, measure.name) + _OR_UNLIKE
                else:
                    continue
                found.append(_gate(condition, model=model, reason=why))
        # Told apart from the models that were not known before: they are notes.
        gates += found or [_gate(condition)]
    return gates


def _judged(condition: Condition, row: ChangeRow, *, baseline_ratio: float | None) -> ChangeGate:
    value = condition.change(row.before, row.after)
    return _gate(
        condition,
        _outcome(condition, row.before, value, row.interval),
        value=value if math.isfinite(value) else None,
        model=row.model,
        case=row.case,
        before=row.before,
        after=row.after,
        interval=row.interval,
        baseline_ratio=baseline_ratio,
    )


def _gate(condition: Condition, outcome: Outcome = "failed", **found: Any) -> ChangeGate:
    """Return a gate; one without figures has failed, for it was asked for in vain."""
    return ChangeGate(
        expression=condition.text,
        threshold=condition.amount,
        unit=condition.unit,
        metric=condition.measure.name,
        outcome=outcome,
        passed=outcome == "passed",
        **found,
    )


def _outcome(
    condition: Condition, before: float, value: float, interval: Interval | None
) -> Outcome:
    """Judge a change by both ends of its interval, or by itself where it has none."""
    ends = [condition.change(before, before * ratio) for ratio in interval or ()] or [value]
    fails = [condition.holds(end) for end in ends]
    is_far = condition.amount != 0 and condition.holds(value / FAR)
    if all(fails) or is_far:
        return "failed"
    return "too noisy" if any(fails) else "passed"


def _change(
    measure: Measure, model: str, case: str | None, before: BenchResult, now: BenchResult
) -> statistics.Ratio | None:
    """Return how a latency or speedup changed, with its interval; ``None`` without raw samples."""
    then, own = (_samples(result, model, case) for result in (before, now))
    if measure.section == "speedups":
        vs = next(row.vs for row in now.speedups if (row.model, row.case) == (model, case))
        sessions = (_samples(before, vs, case), then), (_samples(now, vs, case), own)
        if not all(turns and len(base) == len(turns) for base, turns in sessions):
            return None
        return statistics.speedup_change(*sessions)
    if measure.statistic is None or not then or not own:
        return None
    change = statistics.change(then, own, measure.statistic)
    if measure.name != "throughput":
        return change
    return statistics.Ratio(1 / change.ratio, 1 / change.high, 1 / change.low)


def _samples(result: BenchResult, model: str, case: str | None) -> list[list[float]]:
    for row in result.cases:
        if (row.model, row.case) == (model, case):
            return [turn for turn in row.samples_ms if turn]
    return []


def few_runs(now: BenchResult, earlier: Earlier | None = None) -> list[str]:
    """Name the cases of either result that have too few runs to know their noise."""
    both = [("now", now), *([] if earlier is None else [("before", earlier.result)])]
    return [
        f"{row.model} {row.case} ({row.runs} {when})"
        for when, result in both
        for row in result.cases
        if row.runs < FEW_RUNS
    ]
