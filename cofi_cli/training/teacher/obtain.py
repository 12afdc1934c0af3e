"""The teacher: found, given or trained; and its outputs."""

from __future__ import annotations

import logging
import shutil
import time

from cofi_cli.architectures import (
    load_config_dict,
    load_dense,
    mark_cross_encoder,
    resolve,
)
from cofi_cli.config import DistillConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.distillation import teacher_taps
from cofi_cli.runs.records import StageSummary
from cofi_cli.training.distiller import Distiller, uses_layers
from cofi_cli.training.outcome.artefacts import save_dense_model
from cofi_cli.training.preflight.embedder import given_teacher
from cofi_cli.training.session import Session
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.dense import DenseStage
from cofi_cli.training.stages.interrupts import Interrupted
from cofi_cli.training.stages.loop import run_stage
from cofi_cli.training.stages.seeding import seed_global
from cofi_cli.training.teacher.label_order import put_in_order
from cofi_cli.training.teacher.outputs import TeacherOutputs

log = logging.getLogger(__name__)


def load_for_task(session: Session, name: str) -> CofiForTask:
    """Load a dense or compact model with a head for the session's task.

    Its vocabulary is the session's.
    """
    task, name = session.task, session.vocabulary.place(name)
    seed_global(session.config.seed, "head")
    model = load_dense(
        name,
        num_labels=task.num_labels,
        head=task.kind.head,
        labels=task.labels,
        problem_type=task.kind.problem_type,
    )
    if task.kind.is_cross_encoder:
        mark_cross_encoder(model.config)
    if task.labels and put_in_order(model, load_config_dict(resolve(name)), task.labels):
        log.info("%s numbers the labels in another order; its head is sorted as the task's.", name)
    return model


def obtain_teacher(session: Session, times: dict[str, StageSummary]) -> CofiForTask:
    """Return the fine-tuned teacher; ``teacher/`` holds it afterwards."""
    config, folder = session.config, session.run.teacher
    record = session.run.checkpoints / "teacher.pt"
    if not session.processes.exists(folder):
        given = given_teacher(config.model, config.teacher.path, session.task)
        if given is not None:
            teacher = load_for_task(session, given)
            session.save(record, {"time": None})
            save_dense_model(session, teacher, folder, source=given)
        else:
            teacher = load_for_task(session, config.model)
            stage = DenseStage(session, teacher, config.teacher)
            used = run_stage(session, stage)
            teacher.load_state_dict(stage.best.load()["model"])
            session.save(record, {"time": used.summary().model_dump()})
            save_dense_model(session, teacher, folder, source=config.model)
    spent = load_state(record, "time")["time"] if session.processes.exists(record) else None
    if spent is not None:
        times["teacher"] = StageSummary(**spent)
    return load_for_task(session, str(folder)).to(session.device)


def make_teacher_outputs(
    session: Session,
    teacher: CofiForTask,
    distill: DistillConfig | None = None,
) -> TeacherOutputs:
    """Return the teacher's outputs on the training split, not computed yet."""
    config = session.config
    distill = distill or config.distill
    taps = teacher_taps(teacher.config.num_hidden_layers) if uses_layers(distill) else []
    return TeacherOutputs(
        teacher,
        session.imitated,
        taps=taps,
        pad_id=session.pad_id,
        device=session.device,
        batch_size=config.train.eval_batch_size,
        budget_gb=config.prune.teacher_cache_gb,
        disk_gb=room_on_disk(session),
        folder=session.run.checkpoints,
        processes=session.processes,
        mask_padding=distill.mask_padding,
        precision=session.precision(hidden=teacher.config.hidden_size),
    )


def room_on_disk(session: Session) -> float:
    """Return how many GB the teacher's outputs may take on disk."""
    place = session.run.root
    free = shutil.disk_usage(place).free / 1e9 if place.exists() else 0.0
    return session.processes.from_main(min(session.config.prune.teacher_disk_gb, free / 2))


def make_distiller(
    session: Session, outputs: TeacherOutputs, distill: DistillConfig | None = None
) -> Distiller:
    """Return the distillation loss of a session, by its configuration or by other settings."""
    return Distiller(
        outputs,
        distill or session.config.distill,
        objective=session.objective,
        total=session.processes.sum,
    )


def prepare_outputs(session: Session, outputs: TeacherOutputs) -> float:
    """Compute the kept outputs, showing progress; return the seconds spent.

    Raises:
        Interrupted: a signal came.
    """
    if not outputs.is_kept:
        if session.config.prune.teacher_cache_gb > 0:
            session.progress.message(
                f"Teacher outputs need {outputs.needed_gb:.1f} GB, more than memory "
                f"(--teacher-cache-gb {session.config.prune.teacher_cache_gb:g}) and disk "
                f"(prune.teacher_disk_gb {session.config.prune.teacher_disk_gb:g}, and half of "
                "what is free) may hold: the teacher runs at each step."
            )
        return 0.0
    if outputs.is_ready:
        return 0.0
    began = time.perf_counter()
    if outputs.is_on_disk and session.processes.count == 1:
        session.progress.message(
            f"Teacher outputs are kept on disk, {outputs.needed_gb:.1f} GB in bf16: they need more "
            f"memory than --teacher-cache-gb {session.config.prune.teacher_cache_gb:g}."
        )
    session.progress.stage("teacher outputs", len(outputs.encoded))

    def tick(done: int) -> None:
        session.progress.step({"stage": "teacher outputs", "step": done})
        if session.flag.is_set:
            raise Interrupted("while computing the teacher's outputs", session.resume_command)

    outputs.prepare(tick)
    return time.perf_counter() - began
