"""What could not be measured or judged is refused before minutes of measuring."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cofi_cli.benchmarking.gates.previous_result import Earlier, peaks
from cofi_cli.benchmarking.plan import BenchPlan
from cofi_cli.config.max_drop import Limits
from cofi_cli.errors import CofiError, unknown
from cofi_cli.runtime.lengths import check_lengths

logger = logging.getLogger(__name__)


def refuse(plan: BenchPlan) -> list[str]:
    """Refuse what could not be measured, judged or kept; return what will not be compared.

    Raises:
        CofiError: no task for the lengths asked for, a length beyond a model's, a gate or a
            condition that has nothing to judge, or a run that leads elsewhere by a link.
    """
    if plan.run is not None:
        plan.run.refuse_links()
    check_lengths(plan.found.models, plan.cases)
    if plan.needs_rows and plan.task is None:
        raise CofiError(
            "seq_len is 'task', but there is no task whose rows give the lengths.",
            hint="Benchmark a run, name the task with --task, or give lengths: --seq-len 64,128.",
        )
    check_gates(plan)
    _check_parts(plan)
    if plan.earlier is None:
        return []
    notes = check_comparison(plan, plan.earlier)
    for note in notes:
        logger.warning("%s", note)
    return notes


def check_gates(plan: BenchPlan) -> None:
    """Refuse thresholds that have nothing to be held against.

    Raises:
        CofiError: no such model or case, no baseline, no other model, or no scores.
    """
    config, baseline = plan.config, plan.found.baseline
    judged = [name for name in plan.judged if name != baseline]
    model, case = config.gate_model, config.gate_case
    if model is not None and model not in plan.model_names:
        raise unknown("gate model", model, plan.model_names)
    for name in ("min_speedup", "max_drop"):
        if getattr(config, name) in (None, ()):
            continue
        if baseline is None:
            raise CofiError(
                f"{name} needs a baseline to compare with.",
                hint="Add --baseline FILE.onnx.",
            )
        if not judged:
            raise CofiError(
                f"{name} has no model to judge: {model or 'the only one left'} is the baseline.",
                hint="Name another --gate-model, or another --baseline.",
            )
    if case is not None and case not in plan.case_names:
        raise unknown("gate case", case, plan.case_names)
    if not config.max_drop or baseline is None:
        return
    if not config.score or plan.task is None:
        raise CofiError(
            "max_drop needs scores, and there is no task to score on.",
            hint="Benchmark a run, or name the task with --task.",
        )
    scored = {own.name for own in plan.scored}
    without = [baseline] if baseline not in scored else judged
    if scored.isdisjoint(without):
        raise CofiError(
            f"max_drop needs scores, and {', '.join(without)} will have none.",
            hint="PyTorch models are scored with --torch, models of runs with other tasks with "
            "--task.",
        )


def _check_parts(plan: BenchPlan) -> None:
    """Refuse gates on labels, columns or values that the task's rows do not have.

    Raises:
        CofiError: saying what there is.
    """
    if plan.task is None:
        return
    asked = {part: f"--max-drop {part}" for part in Limits.of(plan.config.max_drop).parts}
    asked |= {c.measure.name: f"--fail-if '{c.text}'" for c in plan.conditions if c.measure.is_part}
    for part, flag in asked.items():
        if (why := plan.task.why_no_part(part)) is not None:
            raise CofiError(f"{flag} cannot be judged: {why}.")


def check_comparison(plan: BenchPlan, earlier: Earlier) -> list[str]:
    """Refuse conditions that have nothing to be held against; return what does not match.

    Raises:
        CofiError: the earlier result has no such figure, or there will be none.
    """
    measured, before, only = plan.case_names, earlier.result.case_names, plan.config.gate_case
    cases = measured if only is None else [only]
    models = [row.name for row in earlier.result.models]
    notes = []
    for what, now, then in (("Model", plan.model_names, models), ("Case", measured, before)):
        if new := [name for name in now if name not in then]:
            notes.append(f"{what} {', '.join(new)}: not in {earlier.path}; not compared.")
        if gone := [name for name in then if name not in now]:
            notes.append(f"{what} {', '.join(gone)}: only in {earlier.path}; not compared.")
    for condition in plan.conditions:
        measure, flag = condition.measure, f"--fail-if '{condition.text}'"
        places = [(model, case) for model, case, _ in measure.values(earlier.result)]
        theirs = {model for model, case in places if case is None or case in cases}
        if theirs.isdisjoint(plan.judged):
            wanted = cases if measure.per_case else [None]
            own = [(model, case) for model in plan.judged for case in wanted]
            raise CofiError(
                f"{flag} has nothing to compare with: {earlier.path} has {measure.name} of "
                f"{_named(places)}; to be judged here are {_named(own)}.",
                hint="Measure the same models and cases: --batch, --seq-len, --gate-case.",
            )
        if measure.over_cases and set(measured) != set(before):
            raise CofiError(
                f"{flag} has nothing to compare with: {peaks(before, measured)}.",
                hint="Measure the same cases: --batch, --seq-len.",
            )
        is_scored = any(model.name in plan.judged for model in plan.scored)
        if measure.section == "scores" and not is_scored:
            raise CofiError(
                f"{flag} needs scores, and there is no task to score on.",
                hint="Benchmark a run, or name the task with --task; PyTorch models are scored "
                "with --torch.",
            )
    return notes


def _named(places: Sequence[tuple[str, str | None]]) -> str:
    """Return models, and their cases if they have any, in words."""
    models = ", ".join(dict.fromkeys(model for model, _ in places)) or "no model"
    cases = ", ".join(dict.fromkeys(case for _, case in places if case is not None))
    return f"{models} in {cases}" if cases else models
