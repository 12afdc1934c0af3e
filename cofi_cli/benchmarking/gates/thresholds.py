"""Thresholds that a benchmark must pass, for continuous integration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cofi_cli.errors import CofiError, unknown
from cofi_cli.tolerances import within

Row = dict[str, Any]


def check_gates(
    min_speedup: float | None,
    max_drop: float | None,
    *,
    case: str | None,
    cases: Sequence[str],
    has_baseline: bool,
    has_task: bool,
    model: str | None = None,
    models: Sequence[str] = (),
    judged: Sequence[str] | None = None,
    baseline: str | None = None,
    scored: Sequence[str] | None = None,
) -> None:
    """Refuse before minutes of measuring what could not be judged after them.

    Args:
        min_speedup: smallest speedup.
        max_drop: most points of score lost.
        case: the only case to judge.
        cases: names of all.
        has_baseline: whether anything is compared.
        has_task: whether there will be scores.
        model: the only model to judge.
        models: names of all that can be.
        judged: names of those that will be held against the baseline; by default not checked.
        baseline: its name.
        scored: names of those that will have scores; by default not checked.

    Raises:
        CofiError: a threshold has nothing to be held against, or nothing could ever miss it.
    """
    for name, value in (("min_speedup", min_speedup), ("max_drop", max_drop)):
        if value is not None and not math.isfinite(value):
            raise CofiError(f"{name} is {value}; it must be a finite number.")
    if min_speedup is not None and min_speedup <= 0:
        raise CofiError(
            f"min_speedup is {min_speedup:g}; it must be above 0, for every speedup is.",
            hint="1.0 asks for no slower than the baseline.",
        )
    if model is not None and model not in models:
        raise unknown("gate model", model, models)
    for name, value in (("min_speedup", min_speedup), ("max_drop", max_drop)):
        if value is not None and not has_baseline:
            raise CofiError(
                f"{name} needs a baseline to compare with.",
                hint="Add --baseline FILE.onnx.",
            )
        if value is not None and judged is not None and not judged:
            raise CofiError(
                f"{name} has no model to judge: {model or 'the only one left'} is the baseline.",
                hint="Name another --gate-model, or another --baseline.",
            )
    if case is not None and case not in cases:
        raise unknown("gate case", case, cases)
    if max_drop is not None and not has_task:
        raise CofiError(
            "max_drop needs scores, and there is no task to score on.",
            hint="Benchmark a run, or name the task with --task.",
        )
    if max_drop is not None and baseline is not None and scored is not None:
        without = [baseline] if baseline not in scored else judged or ()
        if not set(without) & set(scored):
            raise CofiError(
                f"max_drop needs scores, and {', '.join(without)} will have none.",
                hint="PyTorch models are scored with --torch, models of runs with other tasks with "
                "--task.",
            )


def speedup_gates(
    speedups: Sequence[Row],
    threshold: float,
    *,
    case: str | None = None,
    unmeasured: Sequence[Row] = (),
) -> list[Row]:
    """Judge each model by its slowest case, or by the case named.

    The value is the ratio of medians. A speedup whose interval holds 1 is none
    at all and counts as 1. A case that was not measured fails.

    Args:
        speedups: rows of the models to judge; see ``records.gate_rows``.
        threshold: the smallest that passes.
        case: the only one to judge.
        unmeasured: cases without latencies; see ``records.unmeasured_rows``.

    Returns:
        A row a model, and one that has failed for each case without latencies; without any,
        one that has failed, for it was asked for in vain.
    """
    rows = []
    judged = [row for row in speedups if case in (None, row["case"])]
    for model in dict.fromkeys(row["model"] for row in judged):
        own = [row for row in judged if row["model"] == model]
        worst = min(own, key=_counted)
        value = _counted(worst)
        rows.append(
            {
                "name": "min_speedup",
                "model": model,
                "case": worst["case"],
                "threshold": threshold,
                "value": value,
                "vs": worst.get("vs"),
                "equal_precision": worst.get("equal_precision"),
                "passed": within(threshold, value),
            }
        )
    for row in unmeasured:
        if case in (None, row["case"]):
            known = {"case": row["case"], "reason": row["reason"]}
            rows.append(_in_vain("min_speedup", threshold) | known)
    return rows or [_in_vain("min_speedup", threshold)]


def drop_gates(
    scores: Mapping[str, float],
    baseline: str,
    threshold: float,
    *,
    judged: Sequence[str] | None = None,
) -> list[Row]:
    """Judge how many points of score each model has lost against the baseline.

    Args:
        scores: headline score by model's name, in points; of one that answers with no
            numbers not a number, which fails.
        baseline: one of the names.
        threshold: the largest loss that passes, in points.
        judged: the models to judge; by default all but the baseline.

    Returns:
        A row a model; without any, one that has failed, for it was asked for in vain.
    """
    rows = []
    for model, score in scores.items():
        if (
            model == baseline
            or baseline not in scores
            or (judged is not None and model not in judged)
        ):
            continue
        drop = scores[baseline] - score
        rows.append(
            {
                "name": "max_drop",
                "model": model,
                "case": None,
                "threshold": threshold,
                "value": None if math.isnan(drop) else drop,
                "passed": within(drop, threshold),
            }
        )
    return rows or [_in_vain("max_drop", threshold)]


def _in_vain(name: str, threshold: float) -> Row:
    nothing = dict.fromkeys(("model", "case", "value"))
    return {"name": name, **nothing, "threshold": threshold, "passed": False}


def _counted(row: Row) -> float:
    return 1.0 if row["verdict"] == "none" else float(row["ratio"])
