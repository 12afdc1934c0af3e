"""The summary of a run, report.json: made, written at the end, found when a run has finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cofi_cli.architectures import count_parameters
from cofi_cli.config import TrainConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import count_encoder, count_prunable
from cofi_cli.runs import RunDir
from cofi_cli.runs.atomic import remove
from cofi_cli.runs.records import (
    MaskedParity,
    MeasuredPlan,
    ModelSummary,
    RunReport,
    Score,
    Sparsity,
    StageSummary,
    Structure,
    WordVectors,
)
from cofi_cli.tasks.metrics.jackknife import paired_error
from cofi_cli.training.baselines.constant import constant_score, not_learned
from cofi_cli.training.evaluation import evaluate, evaluate_in_groups
from cofi_cli.training.processes import Processes
from cofi_cli.training.session import Session
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.prune import REACHED
from cofi_cli.training.stages.target import Target
from cofi_cli.training.stopwatch import missed_words


@dataclass(frozen=True)
class Pruned:
    """The pruning stage's result.

    Attributes:
        goal: what was asked of this size.
        model: compact, before recovery.
        plan: what was kept.
        layer_map: W of the layer loss, (d, d), or ``None``.
        expected: expected sparsity when it was kept.
        measured: speeds of the plans that were tried, the kept one's last; empty where none was.
        parity: largest |Δ logit| between masked and compact.
        score: headline metric on the validation split, in points.
    """

    goal: Target
    model: CofiForTask
    plan: PrunePlan
    layer_map: Tensor | None
    expected: float
    measured: list[MeasuredPlan]
    parity: float
    score: float


def describe_model(session: Session, model: CofiForTask) -> ModelSummary:
    """Return a model's scores on every labelled split but ``train``, in points, and its sizes."""
    first, without = evaluate_in_groups(session, model)
    scores = {"validation": first} | {
        name: evaluate(session, model, split=name)
        for name, encoded in session.splits.items()
        if name not in ("train", "validation") and encoded.reference is not None
    }
    return ModelSummary(
        score=first[session.task.headline],
        scores=scores,
        scores_without=without,
        encoder_params=count_encoder(model),
        prunable_params=count_prunable(model),
        total_params=count_parameters(model),
        bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
    )


def _header(session: Session) -> dict[str, Any]:
    return {
        "model_name": session.config.model,
        "task": session.task.name,
        "kind": session.task.kind.name,
        "metric": session.task.headline,
        "note": session.task.note,
        "seed": session.config.seed,
        "vocabulary": session.vocabulary.facts,
    }


def build_report(
    session: Session,
    *,
    teacher: ModelSummary,
    model: ModelSummary,
    pruned: Pruned,
    times: Mapping[str, StageSummary],
    baseline: WordVectors | None,
    advice: str | None,
) -> RunReport:
    """Return report.json of one size of a pruning run; sparsity is recounted from the tensors.

    Args:
        teacher, model: of :func:`describe_model`; the model is recovered.
        pruned: the size.
        times: of all stages.
        baseline: word vectors alone, where they were asked for.
        advice: what would help the model, if anything.
    """
    shape, target = pruned.plan.encoder_shape, pruned.goal
    realised = 1 - model.prunable_params / shape.prunable
    reached = realised if target.table is None else target.reached(pruned.plan)
    missed = target.missed(reached) if reached < target.reduction - REACHED else None
    if pruned.measured:
        missed = missed_words(target, pruned.measured[-1])
    validation = session.splits["validation"]
    constant = constant_score(session.task, validation)
    return RunReport(
        **_header(session),
        teacher=teacher,
        model=model,
        standard_error=paired_error(teacher.scores_without, model.scores_without),
        constant=None if constant is None else Score(score=constant),
        not_learned=not_learned(session.task, validation, teacher=teacher.score, model=model.score),
        before_recovery=Score(score=pruned.score),
        sparsity=Sparsity(
            target=target.reduction if target.table is None else None,
            realised=realised,
            expected=pruned.expected,
        ),
        structure=Structure.model_validate(pruned.plan.summary()),
        parity=MaskedParity(masked_vs_compact=pruned.parity),
        missed=missed,
        stages=dict(times),
        latency_target=target.report(pruned.plan, pruned.measured),
        baseline=baseline,
        advice=advice,
    )


def finetune_report(
    session: Session, *, model: CofiForTask, before: dict[str, float] | None, time: StageSummary
) -> RunReport:
    """Return report.json of a fine-tuning run."""
    return RunReport(
        **_header(session),
        before=before,
        model=describe_model(session, model),
        stages={"finetune": time},
    )


def finish(session: Session, report: RunReport) -> RunReport:
    """Write report.json, with which a run is finished, and let its checkpoints go."""

    def write() -> None:
        report.write(session.run.report_json)
        if not session.config.train.keep_checkpoints:
            remove(session.run.checkpoints)

    session.processes.wait()  # for those that still read checkpoints
    session.processes.write(write)
    return report


def finished_report(
    run: RunDir, settings: TrainConfig, processes: Processes, progress: Progress | None
) -> RunReport | None:
    """Return the report of a run that has finished, as it is; ``None`` for any other run.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    if not processes.from_main(run.is_finished):
        return None
    report = RunReport.read(run.report_json)
    if progress is not None and processes.is_main:
        progress.message(f"{run.root} is finished: nothing is left to train.")
    if not settings.keep_checkpoints:  # for a run that was killed while it removed them
        processes.write(lambda: remove(run.checkpoints))
    return report
