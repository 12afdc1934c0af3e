"""``prune``: teacher, gates, plan, compact model, recovery, report."""

from __future__ import annotations

import logging
from dataclasses import replace

from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport, StageSummary
from cofi_cli.training.baselines.evaluate import word_vector_baseline
from cofi_cli.training.outcome.advice import Adviser
from cofi_cli.training.outcome.family import save_sizes
from cofi_cli.training.outcome.summary import (
    build_report,
    describe_model,
    finish,
    finished_report,
)
from cofi_cli.training.preflight.checks import preflight
from cofi_cli.training.preflight.run import guard_folder
from cofi_cli.training.processes import claimed, open_processes
from cofi_cli.training.session import open_session
from cofi_cli.training.sizes import pruned_sizes, recover_size
from cofi_cli.training.stages.interrupts import stop_flag
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.schedule import slow_gates
from cofi_cli.training.stopwatch import Stopwatch
from cofi_cli.training.teacher.augmentation import imitated_rows
from cofi_cli.training.teacher.obtain import ask_teacher, make_teacher_outputs, obtain_teacher
from cofi_cli.training.time_budget import obtain_schedule

log = logging.getLogger(__name__)


def prune(
    config: RunConfig,
    run: RunDir,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    stopwatch: Stopwatch | None = None,
) -> RunReport:
    """Prune a model from beginning to end; the callable twin of ``cofi prune``.

    Stages that ended in an earlier, interrupted call are not run again; of a run that has
    finished the report is returned as it is.

    Args:
        run: where; a folder that holds a run needs ``resume``.
        resume: continue that run.
        stopwatch: measures where a speed is asked for: a latency table before training, unless one
            is named, and the plan's real speed before recovery.

    Returns:
        The report, as in ``report.json``.

    Raises:
        CofiError: bad input, an interruption, a diverged loss or broken parity.
    """
    processes = open_processes(config.train.device)
    with claimed(run, processes), stop_flag() as flag:
        guard_folder(run, config, command="prune", resume=resume)
        if (done := finished_report(run, config.train, processes, progress)) is not None:
            return done
        checked = preflight(
            config,
            run,
            command="prune",
            processes=processes,
            stopwatch=stopwatch,
            progress=progress,
        )
        session = open_session(
            config,
            run,
            checked.task,
            checked.target,
            progress=progress,
            flag=flag,
            command="prune",
            processes=processes,
        )
        session = replace(session, imitated=imitated_rows(session))
        steps = obtain_schedule(session)
        if note := slow_gates(config.prune, steps):
            log.warning("%s", note)
        times: dict[str, StageSummary] = {}
        teacher = obtain_teacher(session, times)
        session = ask_teacher(session, teacher)
        outputs = make_teacher_outputs(session, teacher)
        sizes = pruned_sizes(session, outputs, steps, times, stopwatch)
        recovered = [recover_size(session, outputs, size, steps, times) for size in sizes]
        theirs = describe_model(session, teacher)
        baseline = word_vector_baseline(session, teacher)
        models, adviser = [], Adviser(session, teacher)
        for model, size in zip(recovered, sizes):
            ours = describe_model(session, model)
            report = build_report(
                session,
                teacher=theirs,
                model=ours,
                pruned=size,
                times=times,
                baseline=baseline,
                advice=adviser.advise(model, lost=theirs.score - ours.score),
            )
            models.append((model, report))
        return finish(session, save_sizes(session, sizes, models))
