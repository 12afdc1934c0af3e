"""What a benchmark is about to do: resolved and refused before anything is measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.benchmarking.gates.fail_if import Condition, parse_conditions
from cofi_cli.benchmarking.gates.previous_result import (
    Earlier,
    check_comparison,
    load_earlier,
)
from cofi_cli.benchmarking.gates.thresholds import check_gates
from cofi_cli.benchmarking.scored_models import first_task, scored_models
from cofi_cli.benchmarking.target_files import Exporter
from cofi_cli.benchmarking.targets import Targets, resolve_targets
from cofi_cli.config import BenchConfig
from cofi_cli.config.max_drop import Limits
from cofi_cli.errors import CofiError
from cofi_cli.runs import machine
from cofi_cli.runtime.lengths import check_lengths, cut_to_fit, usual_length
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.providers import BUILDS, require_one_build, torch_serves
from cofi_cli.runtime.timing import STEADY, Case, Schedule, cross

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchPlan:
    """A benchmark that could start.

    Attributes:
        config: what was asked for.
        found: the models.
        cases, schedule, threads: what each of them runs, how often, on what.
        task: whose rows give lengths and scores, cut to what all models take.
        scored: the models that are scored.
        earlier: the result to compare with.
        conditions: what may not have changed since.
    """

    config: BenchConfig
    found: Targets
    cases: list[Case]
    schedule: Schedule
    threads: int
    task: Task | None
    scored: list[Model]
    earlier: Earlier | None
    conditions: list[Condition]

    @property
    def needs_rows(self) -> bool:
        """Whether a case has the lengths of the task's rows."""
        return any(case.seq_len == "task" for case in self.cases)

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of the models that thresholds apply to."""
        only = self.config.gate_model
        return self.found.judged if only is None else (only,)


def resolve(
    targets: Sequence[Path], config: BenchConfig, *, task: Task | None, exporter: Exporter
) -> BenchPlan:
    """Find models, cases and the task; what is missing is exported.

    Args:
        targets: runs, model folders, ONNX files.
        config: what was asked for.
        task: to score on, in the place of that of the first run.
        exporter: exports a source as it was asked for before.

    Raises:
        CofiError: nothing to benchmark, two builds of onnxruntime, or what is named is missing
            or unreadable.
    """
    require_one_build(machine.versions(*BUILDS), provider=config.provider)
    conditions = parse_conditions(config.fail_if)
    earlier = None if config.compare is None else load_earlier(config.compare)
    threads = config.threads if config.threads is not None else machine.default_threads()
    machine.check_threads(threads)
    torch = config.torch
    if torch is None and (config.all_sizes or not torch_serves(config.provider)):
        torch = False
    found = resolve_targets(
        targets,
        baseline=config.baseline,
        exporter=exporter,
        provider=config.provider,
        all_sizes=config.all_sizes,
        torch=torch,
    )
    if found.run is not None:
        found.run.refuse_links()
    lengths = config.seq_len
    if lengths is None:
        lengths = (usual_length(found.models),)
    needs_rows, home = "task" in lengths, None
    if task is None and (config.score or needs_rows):
        needs_score = bool(config.max_drop) or any(
            condition.measure.section == "scores" for condition in conditions
        )
        task, home = first_task(targets, is_needed=needs_rows or needs_score)
    scored: list[Model] = []
    if task is not None:
        task = cut_to_fit(task, found.models)
        if config.score:
            scored = scored_models(found.models, task, home=home, torch=bool(config.torch))
    least = config.min_seconds
    if least is None:
        least = min(STEADY, config.max_seconds)
    return BenchPlan(
        config=config,
        found=found,
        cases=cross(config.batch, lengths),
        schedule=Schedule(
            runs=config.runs,
            warmup=config.warmup,
            max_seconds=config.max_seconds,
            min_seconds=least,
        ),
        threads=threads,
        task=task,
        scored=scored,
        earlier=earlier,
        conditions=conditions,
    )


def refuse(plan: BenchPlan) -> list[str]:
    """Refuse what could not be measured or judged; return what will not be compared.

    Raises:
        CofiError: no task for the lengths asked for, a length beyond a model's, a gate or a
            condition that has nothing to judge.
    """
    config, found, names = plan.config, plan.found, [case.name for case in plan.cases]
    check_lengths(found.models, plan.cases)
    if plan.needs_rows and plan.task is None:
        raise CofiError(
            "seq_len is 'task', but there is no task whose rows give the lengths.",
            hint="Benchmark a run, name the task with --task, or give lengths: --seq-len 64,128.",
        )
    check_gates(
        config,
        cases=names,
        has_task=config.score and plan.task is not None,
        models=[model.name for model in found.models],
        judged=[name for name in plan.judged if name != found.baseline],
        baseline=found.baseline,
        scored=[model.name for model in plan.scored],
    )
    if plan.task is not None:
        _check_parts(plan, plan.task)
    if plan.earlier is None:
        return []
    notes = check_comparison(
        plan.earlier,
        plan.conditions,
        models=[model.name for model in found.models],
        judged=plan.judged,
        cases=names if config.gate_case is None else [config.gate_case],
        all_cases=names,
        has_scores=any(model.name in plan.judged for model in plan.scored),
    )
    for note in notes:
        logger.warning("%s", note)
    return notes


def _check_parts(plan: BenchPlan, task: Task) -> None:
    """Refuse gates on labels, columns or values that the task's rows do not have.

    Raises:
        CofiError: saying what there is.
    """
    asked = {part: f"--max-drop {part}" for part in Limits.of(plan.config.max_drop).parts}
    asked |= {c.measure.name: f"--fail-if '{c.text}'" for c in plan.conditions if c.measure.is_part}
    for part, flag in asked.items():
        if (why := task.why_no_part(part)) is not None:
            raise CofiError(f"{flag} cannot be judged: {why}.")
