"""The teacher: found, given or trained; the student that starts from it, and its answers."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from cofi_cli.architectures import (
    kept_activation,
    load_config_dict,
    load_dense,
    mark_cross_encoder,
    read_config,
    resolve,
)
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.distillation import teacher_taps
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.runs.records import StageSummary
from cofi_cli.tasks import EXTRA
from cofi_cli.tasks.teacher.agreement import AGREEMENT, TeacherAnswers, save_answers
from cofi_cli.tasks.teacher.taught import label_names, places
from cofi_cli.training.distiller import Distiller, uses_layers
from cofi_cli.training.evaluation import answers
from cofi_cli.training.outcome.artefacts import save_dense_model
from cofi_cli.training.preflight.embedder import given_teacher
from cofi_cli.training.session import Session
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.dense import DenseStage
from cofi_cli.training.stages.interrupts import Interrupted
from cofi_cli.training.stages.seeding import seed_global
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


def put_in_order(model: CofiForTask, config: Mapping[str, Any], labels: Sequence[str]) -> bool:
    """Sort the rows of a head, in place, as the task numbers its labels.

    Nothing is done unless both have the same names, capitals aside, in another order.

    Args:
        model: its head has one output per label.
        config: of the checkpoint that it was loaded from.
        labels: the task's.

    Returns:
        Whether the order was another.
    """
    names = label_names(config)
    place = places(labels, names)
    if place is None or len(names) != len(labels) or place == list(range(len(names))):
        return False
    order = torch.tensor(place)
    with torch.no_grad():
        for tensor in (model.classifier.weight, model.classifier.bias):
            tensor.copy_(tensor[order.to(tensor.device)])
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    return True


def obtain_teacher(session: Session, times: dict[str, StageSummary]) -> CofiForTask:
    """Return the fine-tuned teacher; ``teacher/`` holds it afterwards."""
    config, folder = session.config, session.run.teacher
    record = session.run.checkpoints / "teacher.pt"
    if not session.processes.exists(folder):
        given = given_teacher(config.model, config.teacher.path, session.task)
        source, spent = given or config.model, None
        teacher = load_for_task(session, source)
        if given is None:
            used = DenseStage(session, teacher, config.teacher).run()
            spent = used.summary().model_dump()
        session.save(record, {"time": spent})
        save_dense_model(session, teacher, folder, source=source)
    spent = load_state(record, "time")["time"] if session.processes.exists(record) else None
    if spent is not None:
        times["teacher"] = StageSummary(**spent)
    return load_for_task(session, str(folder)).to(session.device)


def make_student(session: Session, teacher: CofiForTask) -> CofiForTask:
    """Return the dense student: a copy of the teacher, or the pretrained model."""
    config, head = session.config, session.task.kind.head
    init = "teacher" if config.prune.copies_teacher else config.prune.student_init
    if init == "auto":
        own = EncoderShape.of(read_config(config.model, head))
        init = "teacher" if own == EncoderShape.of(teacher.config) else "pretrained"
    if init == "teacher":
        return load_for_task(session, str(session.run.teacher))
    student = load_for_task(session, config.model)
    student.config.id2label = dict(teacher.config.id2label)
    student.config.label2id = dict(teacher.config.label2id)
    student.config.update(kept_activation(teacher.config))
    return student


def ask_teacher(session: Session, teacher: CofiForTask) -> Session:
    """Return the session with the teacher's answers as what scores are held against.

    Where labels or ratings are known, it is the session as it was.

    They are kept in the run's folder, for export and benchmark.
    """
    task = session.task
    if task.headline != AGREEMENT:
        return session
    known = {
        name: TeacherAnswers.of(answers(session, teacher, encoded), task.kind)
        for name, encoded in session.splits.items()
        if name not in ("train", EXTRA)
    }
    session.processes.write(lambda: save_answers(session.run.answers, known, task.fingerprint))
    splits = {name: replace(session.splits[name], gold=own) for name, own in known.items()}
    task = replace(task, answers=known)
    return replace(session, task=task, splits={**session.splits, **splits})


def make_teacher_outputs(session: Session, teacher: CofiForTask) -> TeacherOutputs:
    """Return the teacher's outputs on the training split, not computed yet."""
    config = session.config
    taps = teacher_taps(teacher.config.num_hidden_layers) if uses_layers(config.distill) else []
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
        mask_padding=config.distill.mask_padding,
        precision=session.precision(hidden=teacher.config.hidden_size),
    )


def room_on_disk(session: Session) -> float:
    """Return how many GB the teacher's outputs may take on disk."""
    place = session.run.root
    free = shutil.disk_usage(place).free / 1e9 if place.exists() else 0.0
    return session.processes.from_main(min(session.config.prune.teacher_disk_gb, free / 2))


def make_distiller(session: Session, outputs: TeacherOutputs) -> Distiller:
    """Return the distillation loss of a session."""
    return Distiller(
        outputs, session.config.distill, objective=session.objective, total=session.processes.sum
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
