"""The interface through which training measures latencies, without importing onnxruntime."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from cofi_cli.config import CaseConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.runs.records import MeasuredPlan
from cofi_cli.tasks import Task
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.target import Target, as_speedup

log = logging.getLogger(__name__)

CLOSE = 0.03
"""Share by which a measured speed may miss what was asked for before a plan is made again."""
ALLOWED = 0.05
"""Share by which it may miss without a warning."""
FURTHEST = 1.5
"""Factor by which the target of the table is corrected at most, before one plan was too slow and
another too fast: a larger error is not one of the table, but a plan that lost its last layers."""
AGAIN = 3
"""Plans that are made again, at most."""


class Stopwatch(Protocol):
    """Measures for pruning; :class:`cofi_cli.benchmarking.stopwatch.Stopwatch` is one."""

    def table(
        self, model: str, case: CaseConfig, task: Callable[[], Task], progress: Progress
    ) -> LatencyTable:
        """Return the latency table of a model in a case.

        Args:
            model: dense.
            case: where and on what inputs it is to run.
            task: loads the run's task, whose rows may be timed.
        """

    def time(
        self,
        model: CofiForTask,
        dense: CofiForTask,
        table: LatencyTable,
        task: Task,
        tokenizer: Any,
    ) -> MeasuredSpeed | None:
        """Return the speed of a compact model as it would be exported, beside its dense one.

        ``None``, and a warning, where it cannot be measured here.
        """


Measure = Callable[[PrunePlan], MeasuredSpeed | None]
Decide = Callable[[float], PrunePlan]


def close_loop(
    target: Target, plan: PrunePlan, *, most: float, measure: Measure, decide: Decide
) -> tuple[PrunePlan, list[MeasuredPlan]]:
    """Return the plan whose measured speed is closest to the target, and what was measured.

    The table expects the share r of the dense time of a plan. A plan that the clock finds too
    fast by a factor f is decided again from the same gates for r · f. Once one plan was too fast
    and another too slow, r lies between theirs, where log f is 0 on the line between them: the
    table errs by another factor for each plan.

    Args:
        target: a speed.
        plan: the first.
        most: largest reduction that can be reached.
        measure: times a plan's model.
        decide: makes a plan for a reduction.
    """
    tried: list[tuple[float, PrunePlan, MeasuredPlan]] = []
    shares: list[tuple[float, float]] = []
    for turn in range(AGAIN + 1):
        found = measure(plan)
        if found is None:
            break
        miss = missed_by(target, found)
        expected = as_speedup(target.reached(plan))
        row = MeasuredPlan(**asdict(found), expected_speedup=expected)
        tried.append((abs(miss), plan, row))
        if abs(miss) <= CLOSE or turn == AGAIN:
            break
        shares.append((1 - target.reached(plan), math.log1p(miss)))
        again = decide(min(max(1 - _next_share(shares), 0.0), most))
        if again == plan:
            break
        log.info(
            "The plan is measured to be %.2f times as fast; the table expected %.2f, and the "
            "target is %s. The plan is decided again.",
            found.speedup,
            expected,
            target.asked,
        )
        plan = again
    if not tried:
        return plan, []
    tried.sort(key=lambda one: -one[0])
    return tried[-1][1], [row for _, _, row in tried]


def _next_share(shares: Sequence[tuple[float, float]]) -> float:
    """Return the share of the dense time to ask of the table.

    Args:
        shares: of each plan so far the table's share r, and log f, f how much too fast it was.
    """
    slow = [one for one in shares if one[1] < 0]
    fast = [one for one in shares if one[1] >= 0]
    if not slow or not fast:
        share, error = shares[-1]
        return share * min(max(math.exp(error), 1 / FURTHEST), FURTHEST)
    (upper, below), (lower, above) = max(slow, key=lambda s: s[1]), min(fast, key=lambda s: s[1])
    weight = above / (above - below)
    return math.exp((1 - weight) * math.log(lower) + weight * math.log(upper))


def missed_by(target: Target, found: MeasuredSpeed | MeasuredPlan) -> float:
    """Return by what share of what was asked for a model is too fast, or (below 0) too slow."""
    if target.seconds is not None:
        return target.seconds / found.seconds - 1
    assert target.speedup is not None, "a speed was asked for"
    return found.speedup / target.speedup - 1


def missed_words(target: Target, found: MeasuredPlan) -> str | None:
    """Say by how much a measured speed misses the target; ``None`` within 5 %."""
    if abs(missed_by(target, found)) <= ALLOWED:
        return None
    took = f"{found.speedup:.2f} times as fast as the dense one ({1e3 * found.seconds:.3g} ms)"
    return (
        f"The target was missed: the model is measured to be {took}; the target is {target.asked}."
    )
