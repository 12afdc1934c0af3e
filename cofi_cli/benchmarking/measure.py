"""Models opened, timed and scored: what a benchmark measures, before anything is concluded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from cofi_cli.benchmarking.records import Row, content_row, model_row, session_env
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import machine
from cofi_cli.runtime.client import TIMEOUT, WorkerClient
from cofi_cli.runtime.disturbance import BUSY, Watch
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.scoring import DevSet, NotANumber, check_head, score_model
from cofi_cli.runtime.timing import Case, Inputs, Progress, Schedule, Turns, time_case

logger = logging.getLogger(__name__)

_AT_REST = "Run the same command again while nothing writes there."


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        env: machine, versions, provider, threads and schedule.
        models: a row a model: of its file, and of the process that ran it.
        timed: seconds by case, model and turn; a case is empty where the machine was busy.
        scores: a row a model that has one; what answers with no numbers has none.
    """

    env: Row
    models: list[Row]
    timed: dict[str, dict[str, Turns]]
    scores: list[Row]


def measure(
    models: Sequence[Model],
    cases: Sequence[Case],
    schedule: Schedule,
    inputs: Inputs,
    *,
    provider: str,
    threads: int,
    dev: Mapping[str, DevSet],
    opened: Callable[[Row], None],
    report: Progress,
) -> Measured:
    """Time models in turn, each in a process of its own, then score them there.

    Args:
        models: opened one after another, since each one's start is timed.
        cases, schedule, inputs: what is timed, how long, and on what.
        provider, threads: as asked for.
        dev: name -> dev set, of the models that are scored.
        opened: called with the environment once all models are.
        report: called after each turn.

    Raises:
        CofiError: a file that does not open or answer, does not fit the task, or was changed
            meanwhile (exit code 6).
    """
    env = machine.describe_machine()
    with ExitStack() as stack:
        workers, first_runs, contents = [], [], []
        for model in models:
            worker = stack.enter_context(
                WorkerClient(
                    model.path,
                    name=model.name,
                    provider=provider,
                    threads=threads,
                    runtime=model.runtime,
                    timeout=TIMEOUT + schedule.max_seconds,
                )
            )
            inputs.feed(worker, cases[0])
            first_runs += worker.time(1)
            contents.append(_content(model))  # not sooner: a file that was read opens faster
            if model.name in dev:
                check_head(worker, model, dev[model.name])
            workers.append(worker)
        env |= session_env(workers, provider, threads, schedule)
        opened(env)
        watch = Watch([worker.pid for worker in workers], threads=threads)
        timed = _time(workers, cases, schedule, inputs, watch, report)
        rows = [model_row(*of) for of in zip(workers, models, first_runs, contents, strict=True)]
        scores: list[Row] = []
        for worker, model in zip(workers, models, strict=True):
            if model.name in dev:
                report(f"score of {model.name}", len(scores), len(dev))
                try:
                    scores.append(score_model(worker, model, dev[model.name]))
                except NotANumber as error:  # the minutes of timing are not lost with it
                    logger.warning("It has no score: %s", error.message)
        for model, content in zip(models, contents, strict=True):
            _check_unchanged(model, content)
        return Measured(env, rows, timed, scores)


def _content(model: Model) -> Row:
    try:
        return content_row(model)
    except OSError as error:
        raise CofiError(
            f"{model.path} was opened, and cannot be read now: {error.strerror or error}.",
            hint=_AT_REST,
            exit_code=UNREACHABLE,
        ) from error


def _check_unchanged(model: Model, before: Row) -> None:
    if _content(model) != before:
        raise CofiError(
            f"{model.path} changed while {model.name} was measured: whose figures these are is "
            "not known.",
            hint=_AT_REST,
            exit_code=UNREACHABLE,
        )


def _time(
    workers: Sequence[WorkerClient],
    cases: Sequence[Case],
    schedule: Schedule,
    inputs: Inputs,
    watch: Watch,
    report: Progress,
) -> dict[str, dict[str, Turns]]:
    total = len(cases) * len(workers) * len(schedule.turns())
    done = 0
    timed = {}
    for case in cases:

        def turn_over(name: str, case: Case = case) -> None:
            nonlocal done
            done += 1
            report(f"{name} {case.name}", done, total)

        timed[case.name] = time_case(
            workers, case, schedule, inputs=inputs, watch=watch, progress=turn_over
        )
        if not timed[case.name]:
            logger.warning(
                "%s is %s. End what else runs on its processors, or leave it some of them with "
                "fewer --threads.",
                case.name,
                BUSY,
            )
    return timed
