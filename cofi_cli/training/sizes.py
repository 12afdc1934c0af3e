"""The sizes of a run: what pruning kept of each, compact, then recovered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.runs.records import MeasuredPlan, StageSummary
from cofi_cli.training.distiller import load_layer_map
from cofi_cli.training.evaluation import evaluate
from cofi_cli.training.outcome.masked_vs_compact import assert_parity
from cofi_cli.training.outcome.summary import Pruned
from cofi_cli.training.post_training import PostTraining
from cofi_cli.training.session import Session
from cofi_cli.training.stages.checkpoint import load_state, reading_state
from cofi_cli.training.stages.loop import has_begun, run_stage
from cofi_cli.training.stages.prune import PruneStage
from cofi_cli.training.stages.recover import RecoverStage
from cofi_cli.training.stages.schedule import Schedule
from cofi_cli.training.stages.target import Target
from cofi_cli.training.stopwatch import Stopwatch, close_loop
from cofi_cli.training.teacher.obtain import make_distiller, make_student, prepare_outputs
from cofi_cli.training.teacher.outputs import TeacherOutputs
from cofi_cli.training.words import factorise_words
from cofi_cli.vocabulary.factors import with_rank

Times = dict[str, StageSummary]


def pruned_sizes(
    session: Session,
    outputs: TeacherOutputs,
    steps: Schedule,
    times: Times,
    stopwatch: Stopwatch | None,
) -> list[Pruned]:
    """Run the pruning stage and build the compact models, or load what an earlier call made."""
    student = make_student(session, outputs.teacher)
    files = [(goal, _file(session, "pruned", goal)) for goal in session.sizes]
    processes = session.processes
    if not all(processes.exists(file) for _, file in files):
        if session.config.prune.method == "fast":
            compacted = _without_training(session, student, stopwatch)
        else:
            compacted = _trained(session, outputs, student, steps, stopwatch)
        for goal, file in files:
            if not processes.exists(file):
                session.save(file, compacted(goal))
    return [_loaded(student, goal, file, times) for goal, file in files]


def _file(session: Session, what: str, goal: Target) -> Path:
    return session.run.checkpoints / what / f"{goal.name}.pt"


def _trained(
    session: Session,
    outputs: TeacherOutputs,
    student: CofiForTask,
    steps: Schedule,
    stopwatch: Stopwatch | None,
) -> Callable[[Target], dict[str, Any]]:
    """Run the pruning stage; return what makes the compact model of a size."""
    spent = prepare_outputs(session, outputs)
    distiller = make_distiller(session, outputs)
    stage = PruneStage(session, student, distiller, steps)
    used = run_stage(session, stage)
    used.teacher_seconds = spent

    def compacted(goal: Target) -> dict[str, Any]:
        live = {name: value.detach().clone() for name, value in student.state_dict().items()}
        result, settings = stage.result(goal), stage.settings
        student.load_state_dict(result["model"])

        def decide(reduction: float) -> PrunePlan:
            stage.gates.load_state_dict(result["gates"])
            return stage.plan_for(goal, shifted_to=reduction)

        first = PrunePlan(**result["plan"])
        most = goal.most(settings.gates, settings.round_widths_to)
        small, known = _cut(session, student, goal, first, decide, most, stopwatch)
        student.load_state_dict(live)
        known |= {"layer_map": result["layer_map"], "expected": result["expected"]}
        return _state(session, small, known, used.summary())

    return compacted


def _without_training(
    session: Session, student: CofiForTask, stopwatch: Stopwatch | None
) -> Callable[[Target], dict[str, Any]]:
    """Look at the student's units; return what makes the compact model of a size."""
    known = PostTraining.of(session, student)

    def compacted(goal: Target) -> dict[str, Any]:
        decide = partial(known.plan, goal.cost)
        first, most = decide(goal.reduction), goal.most(("head", "ffn_dim"), 1)
        small, state = _cut(session, student, goal, first, decide, most, stopwatch)
        return _state(session, small, state, known.refit(session, small))

    return compacted


def _cut(
    session: Session,
    student: CofiForTask,
    goal: Target,
    plan: PrunePlan,
    decide: Callable[[float], PrunePlan],
    most: float,
    stopwatch: Stopwatch | None,
) -> tuple[CofiForTask, dict[str, Any]]:
    """Return the compact model of a size, and what is known of it.

    Where a speed was asked for, the plan is decided again until the clock agrees.
    """
    measured: list[MeasuredPlan] = []
    if stopwatch is not None and (table := goal.table) is not None:

        def measure(plan: PrunePlan) -> MeasuredSpeed | None:
            small = compact(student, plan)
            return session.processes.by_main(
                lambda: stopwatch.time(small, student, table, session.task, session.tokenizer)
            )

        plan, measured = close_loop(goal, plan, most=most, measure=measure, decide=decide)
    small = compact(student, plan)
    return small, {
        "plan": plan.model_dump(),
        "measured": [row.model_dump() for row in measured],
        "parity": assert_parity(session, student, small, plan),
        "layer_map": None,
        "expected": plan.sparsity,
    }


def _state(
    session: Session, small: CofiForTask, known: dict[str, Any], time: StageSummary
) -> dict[str, Any]:
    """Factorise a compact model's word vectors if asked; return it with what is known of it."""
    factorise_words(session, small)
    return known | {
        "compact": small.state_dict(),
        "rank": small.config.embedding_rank,
        "time": time.model_dump(),
        "score": evaluate(session, small)[session.task.headline],
    }


def _loaded(student: CofiForTask, goal: Target, file: Path, times: Times) -> Pruned:
    state = load_state(file)
    with reading_state(file):
        times["prune"] = StageSummary(**state["time"])
        plan = PrunePlan(**state["plan"])
        small = compact(student, plan)
        if (rank := state.get("rank")) is not None:
            with_rank(small, rank)
        small.load_state_dict(state["compact"])
        return Pruned(
            goal=goal,
            model=small,
            plan=plan,
            layer_map=state["layer_map"],
            expected=state["expected"],
            measured=[MeasuredPlan(**row) for row in state["measured"]],
            parity=state["parity"],
            score=state["score"],
        )


def recover_size(
    session: Session, outputs: TeacherOutputs, size: Pruned, steps: Schedule, times: Times
) -> CofiForTask:
    """Recover a compact model; one that recovery made worse, beyond tolerance, stays as it was."""
    config, model = session.config, size.model
    if steps.recover == 0:
        return model
    name = "recover" if len(session.sizes) == 1 else f"recover-{size.goal.name}"
    path = _file(session, "recovered", size.goal)
    if not session.processes.exists(path):
        spent = prepare_outputs(session, outputs)
        distiller = make_distiller(session, outputs)
        load_layer_map(distiller, size.layer_map)
        kept = torch.tensor(size.plan.hidden)
        stage = RecoverStage(
            session, model, distiller, config.recover, kept=kept, steps=steps.recover, name=name
        )
        if not has_begun(session, stage):
            stage.evaluate(0)
        used = stage.run()
        used.teacher_seconds = spent
        session.save(path, {"model": model.state_dict(), "time": used.summary().model_dump()})
    state = load_state(path, "time", "model")
    times[name] = StageSummary(**state["time"])
    with reading_state(path):
        model.load_state_dict(state["model"])
    model.eval()
    return model
