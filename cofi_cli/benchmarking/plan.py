"""What a benchmark is about to do, resolved before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.benchmarking.gates.fail_if import Condition, parse_conditions
from cofi_cli.benchmarking.gates.previous_result import Earlier, load_earlier
from cofi_cli.benchmarking.scored_models import first_task, scored_models
from cofi_cli.benchmarking.target_files import Exporter
from cofi_cli.benchmarking.targets import Targets, resolve_targets
from cofi_cli.config import BenchConfig
from cofi_cli.runs import RunDir, machine
from cofi_cli.runtime.lengths import cut_to_fit, usual_length
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.providers import BUILDS, require_one_build, torch_serves
from cofi_cli.runtime.timing import STEADY, Case, Schedule, cross

if TYPE_CHECKING:
    from cofi_cli.tasks import Task


@dataclass(frozen=True)
class BenchPlan:
    """A benchmark that could start.

    Attributes:
        config: what was asked for.
        found: the models.
        run: the finished run that is the only target, if it is one.
        cases, schedule, threads: what each of them runs, how often, on what.
        task: whose rows give lengths and scores, cut to what all models take.
        scored: the models that are scored.
        earlier: the result to compare with.
        conditions: what may not have changed since.
    """

    config: BenchConfig
    found: Targets
    run: RunDir | None
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
    def case_names(self) -> list[str]:
        """Names of the cases."""
        return [case.name for case in self.cases]

    @property
    def model_names(self) -> list[str]:
        """Names of the models."""
        return [model.name for model in self.found.models]

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of the models that thresholds apply to."""
        only = self.config.gate_model
        return self.found.judged if only is None else (only,)


def resolve(
    targets: Sequence[Path],
    config: BenchConfig,
    *,
    run: RunDir | None,
    task: Task | None,
    exporter: Exporter,
) -> BenchPlan:
    """Find models, cases and the task; what is missing is exported.

    The arguments are those of :func:`cofi_cli.benchmarking.bench.run_bench`.

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
    lengths = config.seq_len or (usual_length(found.models),)
    needs_rows, home = "task" in lengths, None
    if task is None and (config.score or needs_rows):
        needs_score = bool(config.max_drop) or any(
            condition.measure.section == "scores" for condition in conditions
        )
        task, home = first_task(found.runs, is_needed=needs_rows or needs_score)
    scored: list[Model] = []
    if task is not None:
        task = cut_to_fit(task, found.models)
        if config.score:
            scored = scored_models(found.models, task, home=home, torch=bool(config.torch))
    least = min(STEADY, config.max_seconds) if config.min_seconds is None else config.min_seconds
    return BenchPlan(
        config=config,
        found=found,
        run=run,
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
