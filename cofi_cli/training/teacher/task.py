"""The task of a run: as configured, or as its teacher says where no label is read."""

from __future__ import annotations

from dataclasses import replace

from cofi_cli.architectures import read_answers
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks import EXTRA, Task, Taught, asks_teacher, load_task, no_labels, with_extra
from cofi_cli.tasks.teacher.agreement import AGREEMENT, TeacherAnswers, save_answers
from cofi_cli.training.evaluation import predict
from cofi_cli.training.session import Session


def load_run_task(config: RunConfig) -> Task:
    """Load the task of a configuration.

    Raises:
        CofiError: a fault in the data, no teacher where ``task.unlabelled`` needs one, or
            training rows that have neither labels nor a teacher, or no labels where
            ``distill.label_weight`` asks for them.
    """
    taught, teacher = None, config.teacher.path
    if teacher is not None and asks_teacher(config.task):
        taught = Taught.of(read_answers(teacher), config.task.kind)
    task = with_extra(load_task(config.task, taught), config.task)
    if task.splits["train"].labels is None and teacher is None and task.kind.has_labels:
        raise no_labels(task)
    if task.splits["train"].labels is None and config.distill.label_weight > 0:
        raise CofiError(
            f"distill.label_weight is {config.distill.label_weight:g}, but the training rows of "
            f"task '{task.name}' have no labels.",
            hint="Set it to 0: --set distill.label_weight=0",
        )
    return task


def ask_teacher(session: Session, teacher: CofiForTask) -> Session:
    """Return the session with the teacher's answers as what scores are held against.

    Where labels or ratings are known, it is the session as it was.

    They are kept in the run's folder, for export and benchmark.
    """
    task = session.task
    if task.headline != AGREEMENT:
        return session
    answers = {
        name: TeacherAnswers.of(
            predict(
                teacher.to(session.device),
                encoded,
                batch_size=session.config.train.eval_batch_size,
                pad_id=session.pad_id,
                device=session.device,
                processes=session.processes,
            ),
            task.kind,
        )
        for name, encoded in session.splits.items()
        if name not in ("train", EXTRA)
    }
    session.processes.write(lambda: save_answers(session.run.answers, answers, task.fingerprint))
    splits = {name: replace(session.splits[name], gold=own) for name, own in answers.items()}
    return replace(
        session, task=replace(task, answers=answers), splits={**session.splits, **splits}
    )
