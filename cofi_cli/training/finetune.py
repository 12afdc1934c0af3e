"""``finetune``: a dense model on labels, or more recovery of a compact one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from cofi_cli.architectures import is_compact
from cofi_cli.config import DistillConfig, RunConfig, TeacherConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport
from cofi_cli.training.evaluation import evaluate
from cofi_cli.training.outcome.artefacts import PLAN, plan_of, save_compact, save_dense_model
from cofi_cli.training.outcome.summary import finetune_report, finish, finished_report
from cofi_cli.training.preflight.checks import preflight
from cofi_cli.training.preflight.run import guard_folder
from cofi_cli.training.processes import claimed, open_processes
from cofi_cli.training.session import Session, open_session
from cofi_cli.training.stages.dense import DenseStage
from cofi_cli.training.stages.interrupts import stop_flag
from cofi_cli.training.stages.loop import StageTime, has_begun
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.recover import RecoverStage
from cofi_cli.training.stages.schedule import total_steps
from cofi_cli.training.teacher.augmentation import imitated_rows
from cofi_cli.training.teacher.obtain import (
    ask_teacher,
    load_for_task,
    make_distiller,
    make_teacher_outputs,
    prepare_outputs,
)
from cofi_cli.training.words import factorise_words

_STAGE = "finetune"


def finetune(
    config: RunConfig, run: RunDir, *, resume: bool = False, progress: Progress | None = None
) -> RunReport:
    """Fine-tune a model; the callable twin of ``cofi finetune``.

    A dense model is trained on labels with the ``teacher`` section. A compact
    one uses the ``recover`` section: distilled when ``teacher.path`` names a
    teacher, on labels otherwise. Without labels any model is distilled so.

    Returns:
        The report, as in ``report.json``: scores before and after, stage time.
    """
    processes = open_processes(config.train.device)
    with claimed(run, processes), stop_flag() as flag:
        guard_folder(run, config, command=_STAGE, resume=resume)
        if (done := finished_report(run, config.train, processes, progress)) is not None:
            return done
        checked = preflight(config, run, command=_STAGE, processes=processes)
        was_pruned = is_compact(config.model)
        session = open_session(
            config,
            run,
            checked.task,
            checked.target,
            progress=progress,
            flag=flag,
            command=_STAGE,
            processes=processes,
        )
        model = load_for_task(session, config.model).to(session.device)
        teacher = None
        if config.teacher.path is not None:
            teacher = load_for_task(session, config.teacher.path)
            session = ask_teacher(session, teacher)
            session = replace(session, imitated=imitated_rows(session))
        knows_task = was_pruned or teacher is not None
        before = evaluate(session, model) if knows_task else None
        factorise_words(session, model)
        if teacher is not None:
            used = _distil(session, model, teacher)
        else:
            settings = _settings(config, is_compact=was_pruned)
            used = DenseStage(session, model, settings, name=_STAGE).run()
        report = finetune_report(session, model=model, before=before, time=used.summary())
        if was_pruned:
            plan = plan_of(config.model)
            save_compact(session, model, report, plan=plan, folder=run.model)
        else:
            save_dense_model(session, model, run.model, source=config.model)
        return finish(session, report)


def _settings(config: RunConfig, *, is_compact: bool) -> TeacherConfig:
    if not is_compact:
        return config.teacher
    fields = ("epochs", "learning_rate", "batch_size", "weight_decay")
    return config.teacher.model_copy(update={k: getattr(config.recover, k) for k in fields})


def _distil(session: Session, model: CofiForTask, teacher: CofiForTask) -> StageTime:
    config = session.config
    kept = kept_hidden(config.model, model, teacher)
    if kept is None:
        config = config.model_copy(update={"distill": _without_layers(config)})
        session = replace(session, config=config)
        session.progress.message(
            f"{config.model} has no {PLAN}, so hidden states are not distilled."
        )
        kept = torch.arange(teacher.config.hidden_size)
    outputs = make_teacher_outputs(session, teacher)
    spent = prepare_outputs(session, outputs)
    distiller = make_distiller(session, outputs)
    rows, settings = len(session.splits["train"]), config.recover
    steps = total_steps(rows, batch_size=settings.batch_size, epochs=settings.epochs)
    stage = RecoverStage(session, model, distiller, settings, kept=kept, steps=steps, name=_STAGE)
    if not has_begun(session, stage):
        stage.evaluate(0)
    used = stage.run()
    used.teacher_seconds = spent
    return used


def _without_layers(config: RunConfig) -> DistillConfig:
    """Return the losses without that of layers, of which one has to be left."""
    distill = config.distill
    if distill.prediction_weight + distill.label_weight == 0:
        raise CofiError(
            f"'{config.model}' has no {PLAN}, so hidden states cannot be distilled, and "
            "distill.prediction_weight and distill.label_weight are 0.",
            hint="Add --set distill.prediction_weight=1, or use the model folder of the run.",
        )
    return distill.model_copy(update={"matching": "none"})


def kept_hidden(name: str, model: CofiForTask, teacher: CofiForTask) -> Tensor | None:
    """Return the teacher's hidden dims that a compact model kept, (k,), if known."""
    plan = plan_of(name)
    if plan is not None:
        return torch.tensor(plan.hidden)
    is_whole = model.config.hidden_size == teacher.config.hidden_size
    return torch.arange(model.config.hidden_size) if is_whole else None
