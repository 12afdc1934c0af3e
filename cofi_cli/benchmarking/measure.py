"""Models opened, timed and scored: what a benchmark measures, before anything is concluded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

from cofi_cli.benchmarking.gates.previous_result import differences
from cofi_cli.benchmarking.plan import BenchPlan
from cofi_cli.benchmarking.rows import AT_REST, bench_env, content_of, model_row
from cofi_cli.benchmarking.task_batches import TaskBatches, task_batches
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import machine
from cofi_cli.runs.records import BenchEnv, ModelRow, ScoreRow
from cofi_cli.runtime.client import TIMEOUT, WorkerClient
from cofi_cli.runtime.disturbance import BUSY, Watch
from cofi_cli.runtime.scoring import DevSet, NotANumber, check_head, dev_sets, score_model
from cofi_cli.runtime.timing import Case, Inputs, Progress, Turns, time_case

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        env: machine, versions, provider, threads and schedule.
        models: a row a model: of its file, and of the process that ran it.
        timed: seconds by case, model and turn; a case is empty where the machine was busy.
        batches: size -> model's name -> the task's batches, for cases with its rows.
        scores: a row a model that has one; what answers with no numbers has none.
    """

    env: BenchEnv
    models: list[ModelRow]
    timed: dict[str, dict[str, Turns]]
    batches: dict[int, dict[str, TaskBatches]]
    scores: list[ScoreRow]


def measure(plan: BenchPlan, report: Progress) -> Measured:
    """Time models in turn, each in a process of its own, then score them there.

    Raises:
        CofiError: a file that does not open or answer, does not fit the task, or was changed
            meanwhile (exit code 6).
    """
    models, schedule = plan.found.models, plan.schedule
    dev: dict[str, DevSet] = {}  # a model that cannot be scored is refused before minutes of timing
    if plan.task is not None:
        limit, sizes = plan.config.score_rows, plan.config.batch
        dev = dev_sets(plan.scored, plan.task, limit=limit, sizes=sizes)
    batches: dict[int, dict[str, TaskBatches]] = {}
    if plan.needs_rows and plan.task is not None:
        batches = task_batches(models, plan.task, list(dict.fromkeys(plan.config.batch)))
    inputs = Inputs(
        vocab={model.name: model.vocab for model in models},
        batches={
            size: {name: own.batches for name, own in made.items()}
            for size, made in batches.items()
        },
        seed=schedule.seed,
    )
    here = machine.describe_machine()
    with ExitStack() as stack:
        workers, first_runs, contents = [], [], []
        for model in models:
            worker = stack.enter_context(
                WorkerClient(
                    model.path,
                    name=model.name,
                    provider=plan.config.provider,
                    threads=plan.threads,
                    runtime=model.runtime,
                    timeout=TIMEOUT + schedule.max_seconds,
                )
            )
            inputs.feed(worker, plan.cases[0])
            first_runs += worker.time(1)
            contents.append(content_of(model))  # not sooner: a file that was read opens faster
            if model.name in dev:
                check_head(worker, model, dev[model.name])
            workers.append(worker)
        env = bench_env(here, workers, plan.config.provider, plan.threads, schedule)
        if plan.earlier is not None:
            for difference in differences(plan.earlier.result.env, env):
                logger.warning(
                    "The environment differs, which alone can change latencies: %s.", difference
                )
        timed = _time(plan, workers, inputs, report)
        rows = [model_row(*of) for of in zip(workers, models, first_runs, contents, strict=True)]
        scores: list[ScoreRow] = []
        for worker, model in zip(workers, models, strict=True):
            if model.name in dev:
                report(f"score of {model.name}", len(scores), len(dev))
                try:
                    scores.append(score_model(worker, model, dev[model.name]))
                except NotANumber as error:  # the minutes of timing are not lost with it
                    logger.warning("It has no score: %s", error.message)
        for model, content in zip(models, contents, strict=True):
            if content_of(model) != content:
                raise CofiError(
                    f"{model.path} changed while {model.name} was measured: whose figures these "
                    "are is not known.",
                    hint=AT_REST,
                    exit_code=UNREACHABLE,
                )
        return Measured(env, rows, timed, batches, scores)


def _time(
    plan: BenchPlan, workers: Sequence[WorkerClient], inputs: Inputs, report: Progress
) -> dict[str, dict[str, Turns]]:
    watch = Watch([worker.pid for worker in workers], threads=plan.threads)
    total = len(plan.cases) * len(workers) * len(plan.schedule.turns())
    done = count(1)
    timed = {}
    for case in plan.cases:

        def turn_over(name: str, case: Case = case) -> None:
            report(f"{name} {case.name}", next(done), total)

        timed[case.name] = time_case(
            workers, case, plan.schedule, inputs=inputs, watch=watch, progress=turn_over
        )
        if not timed[case.name]:
            logger.warning(
                "%s is %s. Stop other programs, or leave processors to them with fewer --threads.",
                case.name,
                BUSY,
            )
    return timed
