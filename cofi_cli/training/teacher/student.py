"""Where the student starts."""

from __future__ import annotations

from cofi_cli.architectures import kept_activation, read_config
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.training.session import Session
from cofi_cli.training.teacher.obtain import load_for_task


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
