"""``prune``: teacher, gates, plan, compact model, recovery, report."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from typing import Any

import torch

from cofi_cli.config import RunConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.runs import RunDir, write_text
from cofi_cli.runs.records import MeasuredPlan, RunReport, StageSummary
from cofi_cli.training.baselines.evaluate import word_vector_baseline
from cofi_cli.training.distiller import load_layer_map
from cofi_cli.training.evaluation import evaluate
from cofi_cli.training.outcome.artefacts import save_compact
from cofi_cli.training.outcome.finish import finish, finished_report
from cofi_cli.training.outcome.masked_vs_compact import assert_parity
from cofi_cli.training.outcome.summary import Pruned, build_report
from cofi_cli.training.preflight.checks import preflight
from cofi_cli.training.preflight.run import guard_folder
from cofi_cli.training.preflight.target import check_target
from cofi_cli.training.processes import claimed, open_processes
from cofi_cli.training.session import Session, open_session
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.interrupts import stop_flag
from cofi_cli.training.stages.loop import has_begun, run_stage
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.prune import PruneStage
from cofi_cli.training.stages.recover import RecoverStage
from cofi_cli.training.stages.schedule import Schedule, slow_gates
from cofi_cli.training.stopwatch import SharedStopwatch, Stopwatch, close_loop
from cofi_cli.training.teacher.augmentation import imitated_rows
from cofi_cli.training.teacher.obtain import (
    make_distiller,
    make_teacher_outputs,
    obtain_teacher,
    prepare_outputs,
)
from cofi_cli.training.teacher.outputs import TeacherOutputs
from cofi_cli.training.teacher.student import make_student
from cofi_cli.training.teacher.task import ask_teacher, load_run_task
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
        config: what to do.
        run: where; a folder that holds a run needs ``resume``.
        resume: continue that run.
        progress: a watcher.
        stopwatch: measures where a speed is asked for: a latency table before training, unless one
            is named, and the plan's real speed before recovery.

    Returns:
        The report, as in ``report.json``.

    Raises:
        CofiError: bad input, an interruption, a diverged loss or broken parity.
    """
    processes = open_processes(config.train.device)
    if stopwatch is not None:
        stopwatch = SharedStopwatch(stopwatch, processes)
    with claimed(run, processes), stop_flag() as flag:
        guard_folder(run, config, command="prune", resume=resume)
        if (done := finished_report(config, run, progress, processes)) is not None:
            return done
        loaded = functools.cache(lambda: load_run_task(config))
        _, target = check_target(config, run, stopwatch=stopwatch, task=loaded, progress=progress)
        task = loaded()
        preflight(config, task, run, command="prune")
        session = open_session(
            config,
            run,
            progress=progress,
            flag=flag,
            command="prune",
            task=task,
            processes=processes,
            target=target,
        )
        session = replace(session, imitated=imitated_rows(session))
        steps = obtain_schedule(session)
        if note := slow_gates(config, steps):
            log.warning("%s", note)
        times: dict[str, StageSummary] = {}
        teacher = obtain_teacher(session, times)
        session = ask_teacher(session, teacher)
        outputs = make_teacher_outputs(session, teacher)
        pruned = _pruned(session, outputs, steps, times, stopwatch)
        model = _recovered(session, outputs, pruned, steps, times)
        report = build_report(
            session,
            teacher=teacher,
            model=model,
            pruned=pruned,
            times=times,
            baseline=word_vector_baseline(session, teacher) if processes.is_main else None,
        )
        save_compact(session, model, report)
        return finish(session, report)


def _pruned(
    session: Session,
    outputs: TeacherOutputs,
    steps: Schedule,
    times: dict[str, StageSummary],
    stopwatch: Stopwatch | None,
) -> Pruned:
    """Run the pruning stage and build the compact model, or load what an earlier call made."""
    path = session.run.checkpoints / "pruned.pt"
    student = make_student(session, outputs.teacher)
    if not session.processes.exists(path):
        spent = prepare_outputs(session, outputs)
        distiller = make_distiller(session, outputs)
        stage = PruneStage(session, student, distiller, steps)
        used = run_stage(session, stage)
        used.teacher_seconds = spent
        result = stage.result()
        student.load_state_dict(result["model"])
        plan, measured = _fitted(session, stage, student, result, stopwatch)
        small = compact(student, plan)
        delta = assert_parity(session, student, small, plan)
        score = evaluate(session, small)[session.task.headline]
        text = plan.model_dump_json(indent=1) + "\n"
        session.processes.write(lambda: write_text(session.run.plan, text))
        state = {
            "compact": small.state_dict(),
            "plan": plan.model_dump(),
            "layer_map": result["layer_map"],
            "expected": result["expected"],
            "measured": [row.model_dump() for row in measured],
            "parity": delta,
            "score": score,
            "time": used.summary().model_dump(),
        }
        session.save(path, state)
    state = load_state(path)
    times["prune"] = StageSummary(**state["time"])
    plan = PrunePlan(**state["plan"])
    small = compact(student, plan)
    small.load_state_dict(state["compact"])
    return Pruned(
        model=small,
        plan=plan,
        layer_map=state["layer_map"],
        expected=state["expected"],
        measured=[MeasuredPlan(**row) for row in state["measured"]],
        parity=state["parity"],
        score=state["score"],
    )


def _fitted(
    session: Session,
    stage: PruneStage,
    student: CofiForTask,
    result: dict[str, Any],
    stopwatch: Stopwatch | None,
) -> tuple[PrunePlan, list[MeasuredPlan]]:
    """Return the plan of a stage, as fast by the clock as was asked, and what was measured."""
    plan, target, settings = PrunePlan(**result["plan"]), stage.goal, stage.settings
    if stopwatch is None or (table := target.table) is None:
        return plan, []

    def measure(plan: PrunePlan) -> MeasuredSpeed | None:
        small = compact(student, plan)
        return stopwatch.time(small, student, table, session.task, session.tokenizer)

    def decide(goal: float) -> PrunePlan:
        stage.gates.load_state_dict(result["gates"])
        return stage.plan(goal)

    most = target.most(settings.gates, settings.round_widths_to)
    return close_loop(target, plan, most=most, measure=measure, decide=decide)


def _recovered(
    session: Session,
    outputs: TeacherOutputs,
    pruned: Pruned,
    steps: Schedule,
    times: dict[str, StageSummary],
) -> CofiForTask:
    """Recover the compact model; the better of before and after is returned."""
    config, model = session.config, pruned.model
    if steps.recover == 0:
        return model
    path = session.run.checkpoints / "recovered.pt"
    if not session.processes.exists(path):
        spent = prepare_outputs(session, outputs)
        distiller = make_distiller(session, outputs)
        load_layer_map(distiller, pruned.layer_map)
        kept = torch.tensor(pruned.plan.hidden)
        stage = RecoverStage(
            session, model, distiller, config.recover, kept=kept, steps=steps.recover
        )
        if not has_begun(session, stage):
            stage.best.offer(pruned.score, 0, model)
        used = run_stage(session, stage)
        used.teacher_seconds = spent
        best = stage.best.load()
        session.save(path, {"model": best["model"], "time": used.summary().model_dump()})
    state = load_state(path)
    times["recover"] = StageSummary(**state["time"])
    model.load_state_dict(state["model"])
    model.eval()
    return model
