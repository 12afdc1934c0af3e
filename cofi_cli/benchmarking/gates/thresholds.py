"""Thresholds that a benchmark must pass, for continuous integration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cofi_cli.runs.records import DropGate, ScoreRow, SpeedupGate, SpeedupRow, UnmeasuredRow
from cofi_cli.tolerances import within


def speedup_gates(
    speedups: Sequence[SpeedupRow],
    threshold: float,
    *,
    case: str | None = None,
    unmeasured: Sequence[UnmeasuredRow] = (),
) -> list[SpeedupGate]:
    """Judge each model by its slowest case, or by the case named.

    The value is the ratio of medians. A speedup whose interval holds 1 is none
    at all and counts as 1. A case that was not measured fails.

    Args:
        speedups: rows of the models to judge; see ``rows.equal_rows``.
        threshold: the smallest that passes.
        case: the only one to judge.
        unmeasured: cases without latencies.

    Returns:
        A gate a model, and one that has failed for each case without latencies; without any,
        one that has failed, for it was asked for in vain.
    """
    rows = [row for row in speedups if case in (None, row.case)]
    gates = []
    for model in dict.fromkeys(row.model for row in rows):
        worst = min((row for row in rows if row.model == model), key=_counted)
        value = _counted(worst)
        gates.append(
            SpeedupGate(
                model=model,
                case=worst.case,
                threshold=threshold,
                value=value,
                vs=worst.vs,
                equal_precision=worst.equal_precision,
                passed=within(threshold, value),
            )
        )
    gates += [
        SpeedupGate(case=row.case, threshold=threshold, reason=row.reason, passed=False)
        for row in unmeasured
        if case in (None, row.case)
    ]
    return gates or [SpeedupGate(threshold=threshold, passed=False)]


def drop_gates(
    scores: Mapping[str, float],
    baseline: str,
    threshold: float,
    *,
    errors: Mapping[str, float | None] = MappingProxyType({}),
) -> list[DropGate]:
    """Judge how many points of score each model has lost against the baseline.

    Args:
        scores: headline score by name of the models to judge and of the baseline, in points; of
            one that answers with no numbers not a number, which fails.
        baseline: one of the names.
        threshold: the largest loss that passes, in points.
        errors: standard error of each model's loss, where it is known.

    Returns:
        A gate a model; without any, one that has failed, for it was asked for in vain.
    """
    before = scores.get(baseline)
    gates = [
        _drop_gate(model, before - score, threshold, error=errors.get(model))
        for model, score in scores.items()
        if before is not None and model != baseline
    ]
    return gates or [DropGate(threshold=threshold, passed=False)]


def part_drop_gates(
    scores: Sequence[ScoreRow],
    baseline: str,
    limits: Mapping[str, float],
    *,
    judged: Sequence[str],
) -> list[DropGate]:
    """Judge how many points each model has lost in parts of the rows.

    Args:
        scores: of the models to judge and of the baseline.
        baseline, judged: their names.
        limits: name of the part, and the largest loss that passes.

    Returns:
        A gate a part and model; one that has failed where either has no such score.
    """
    parts = {row.model: row.parts for row in scores}
    gates = []
    for part, threshold in limits.items():
        for model in (name for name in judged if name != baseline):
            without = [own for own in (baseline, model) if part not in parts.get(own, {})]
            if without:
                why = missing_part(without[0], part)
                gate = DropGate(
                    model=model, part=part, threshold=threshold, reason=why, passed=False
                )
            else:
                drop = parts[baseline][part].score - parts[model][part].score
                gate = _drop_gate(model, drop, threshold, part)
            gates.append(gate)
    return gates


def _drop_gate(
    model: str,
    drop: float,
    threshold: float,
    part: str | None = None,
    *,
    error: float | None = None,
) -> DropGate:
    return DropGate(
        model=model,
        part=part,
        threshold=threshold,
        value=None if math.isnan(drop) else drop,
        standard_error=error,
        passed=within(drop, threshold),
    )


def missing_part(model: str, part: str) -> str:
    """Say why a model may have no score of a part that the task knows."""
    if part.startswith("precision["):
        return f"{model} has no {part}: no scored row has the label, or the model gives it to none"
    return f"{model} has no {part}: no scored row has it, or its score is not defined there"


def _counted(row: SpeedupRow) -> float:
    return 1.0 if row.verdict == "none" else row.ratio
