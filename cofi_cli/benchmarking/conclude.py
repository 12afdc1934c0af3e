"""What measurements come to: rows, speedups, gates, and what changed since an earlier result."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from itertools import product

from cofi_cli.benchmarking.curve import curve_of
from cofi_cli.benchmarking.gates.previous_result import Earlier, differences, unlike
from cofi_cli.benchmarking.gates.regression import compare, few_runs, regression_gates
from cofi_cli.benchmarking.gates.thresholds import drop_gates, part_drop_gates, speedup_gates
from cofi_cli.benchmarking.measure import Measured
from cofi_cli.benchmarking.plan import BenchPlan
from cofi_cli.benchmarking.rows import case_row, equal_rows, speedup_rows
from cofi_cli.config.max_drop import Limits
from cofi_cli.runs.records import BenchResult, CaseRow, Comparison, Gate, UnmeasuredRow
from cofi_cli.runtime.disturbance import BUSY
from cofi_cli.runtime.timing import Case
from cofi_cli.tasks.metrics.jackknife import paired_error

logger = logging.getLogger(__name__)


def conclude(plan: BenchPlan, measured: Measured, notes: Sequence[str]) -> BenchResult:
    """Return the result; a failed gate is a row of it, not an error.

    ``notes`` are those of :func:`cofi_cli.benchmarking.refuse.refuse`.
    """
    found, timed = plan.found, measured.timed
    cases = [case for case in plan.cases if timed[case.name]]
    speedups, headline = speedup_rows(found, cases, timed)
    result = BenchResult(
        env=measured.env,
        models=measured.models,
        cases=_case_rows(plan, measured, cases),
        unmeasured=[
            UnmeasuredRow(case=case.name, batch=case.batch, seq_len=case.seq_len, reason=BUSY)
            for case in plan.cases
            if not timed[case.name]
        ],
        speedups=speedups,
        headline=headline,
        scores=measured.scores,
        left_out=list(found.left_out),
        baseline=found.baseline,
    )
    update = {"gates": _gates(plan, result), "curve": curve_of(result, plan.run)}
    result = result.model_copy(update=update)
    if plan.earlier is not None:
        result = _compared(plan, result, plan.earlier, notes)
    if (speedups or plan.earlier is not None) and (few := few_runs(result, plan.earlier)):
        logger.warning(
            "Too few runs to know the noise of %s: their speedups, changes and gates say little. "
            "Raise --runs, or --max-seconds where it ended them.",
            ", ".join(few),
        )
    return result


def _gates(plan: BenchPlan, result: BenchResult) -> list[Gate]:
    """Hold the result against the thresholds."""
    config, gates = plan.config, list[Gate]()
    if config.min_speedup is not None:
        rows = equal_rows(result.speedups, result.headline)
        gates += speedup_gates(
            [row for row in rows if row.model in plan.judged],
            config.min_speedup,
            case=config.gate_case,
            unmeasured=result.unmeasured,
        )
    limits, baseline = Limits.of(config.max_drop), result.baseline
    if limits.whole is not None and baseline is not None:
        points = {model.name: math.nan for model in plan.scored}
        points |= {row.model: row.score for row in result.scores}
        held = {name: of for name, of in points.items() if name in (baseline, *plan.judged)}
        without = {row.model: row.scores_without for row in result.scores}
        errors = {
            name: paired_error(without.get(name, ()), without.get(baseline, ())) for name in held
        }
        gates += drop_gates(held, baseline, limits.whole, errors=errors)
    if limits.parts and baseline is not None:
        gates += part_drop_gates(result.scores, baseline, limits.parts, judged=plan.judged)
    return gates


def _compared(
    plan: BenchPlan, result: BenchResult, earlier: Earlier, notes: Sequence[str]
) -> BenchResult:
    """Return the result with what changed since an earlier one, and the gates on that."""
    rows = compare(earlier, result, [condition.measure for condition in plan.conditions])
    gates = regression_gates(
        plan.conditions,
        rows,
        judged=plan.judged,
        baseline=result.baseline,
        case=plan.config.gate_case,
        unmeasured=[row for row in result.unmeasured if row.case in earlier.result.case_names],
        scored=_scored_before(earlier.result, result),
    )
    comparison = Comparison(
        file=str(earlier.path),
        environment=differences(earlier.result.env, result.env),
        notes=[*notes, *unlike(earlier.result, result).values()],
        rows=rows,
    )
    return result.model_copy(update={"gates": [*result.gates, *gates], "comparison": comparison})


def _scored_before(before: BenchResult, now: BenchResult) -> dict[str, bool]:
    """Return the models that had a score and are measured now, and whether they have one now."""
    had, have = ({row.model for row in result.scores} for result in (before, now))
    return {row.name: row.name in have for row in now.models if row.name in had}


def _case_rows(plan: BenchPlan, measured: Measured, cases: Sequence[Case]) -> list[CaseRow]:
    rows = []
    for case, model in product(cases, plan.found.models):
        own = measured.batches[case.batch][model.name] if case.seq_len == "task" else None
        turns = measured.timed[case.name][model.name]
        rows.append(case_row(model, case, turns, plan.config.provider, own))
    return rows
