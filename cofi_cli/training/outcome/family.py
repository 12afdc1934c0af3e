"""The sizes of a run on disk: a folder for each, and the chosen one as the run's model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import yaml

from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs import write_text
from cofi_cli.runs.records import Chosen, RunReport, SizeRow
from cofi_cli.runs.sizes import choose, nearest, take
from cofi_cli.training.outcome.artefacts import save_compact
from cofi_cli.training.outcome.summary import Pruned
from cofi_cli.training.session import Session
from cofi_cli.training.stages.target import Target


def save_sizes(
    session: Session, sizes: Sequence[Pruned], models: Sequence[tuple[CofiForTask, RunReport]]
) -> RunReport:
    """Write the models of a run; return the report of the chosen one.

    One size is the run's model. Of several each has a folder below ``sizes/``, which is a run
    folder of its own, and the chosen one is copied.

    Args:
        sizes: the largest model first.
        models: recovered, each with its report.
    """
    run, max_drop = session.run, session.config.prune.max_drop
    rows = [_row(size, report) for size, (_, report) in zip(sizes, models)]
    missed = None
    try:
        name = choose(rows, max_drop).name
    except CofiError as error:
        name, missed = nearest(rows).name, error.message
    if len(sizes) == 1:
        model, report = models[0]
        if max_drop is not None:
            chosen = Chosen(name=name, max_drop=max_drop, missed=missed)
            report = report.model_copy(update={"chosen": chosen})
        plan = sizes[0].plan
        text = plan.model_dump_json(indent=1) + "\n"
        session.processes.write(lambda: write_text(run.plan, text))
        save_compact(session, model, report, plan=plan, folder=run.model)
        return report
    for size, (model, report) in zip(sizes, models):
        _save_size(session, size, model, report.model_copy(update={"sizes": rows}))
    session.processes.write(lambda: take(run, name, max_drop=max_drop, missed=missed))
    return RunReport.read(run.report_json)


def _save_size(session: Session, size: Pruned, model: CofiForTask, report: RunReport) -> None:
    place = session.run.size(size.goal.name)
    config = _config_of(session.config, size.goal).model_dump(mode="json")

    def write() -> None:
        place.root.mkdir(parents=True, exist_ok=True)
        write_text(place.config, yaml.safe_dump(config, sort_keys=False))
        shutil.copyfile(session.run.env, place.env)
        write_text(place.plan, size.plan.model_dump_json(indent=1) + "\n")
        report.write(place.report_json)

    session.processes.write(write)
    save_compact(session, model, report, plan=size.plan, folder=place.model)


def _config_of(config: RunConfig, goal: Target) -> RunConfig:
    """Return the configuration of a run that would make this size alone."""
    own: dict[str, Any] = {"milestones": ()}
    if goal.seconds is not None:
        own["latency"] = goal.name
    elif goal.speedup is not None:
        own["speedup"] = goal.speedup
    else:
        own["sparsity"] = goal.reduction
    return config.model_copy(update={"prune": config.prune.model_copy(update=own)})


def _row(size: Pruned, report: RunReport) -> SizeRow:
    """Return what is compared of a size: its score, its weights, its speed."""
    assert report.teacher is not None and report.sparsity is not None, "pruning states both"
    teacher, model, speed = report.teacher, report.model, report.latency_target
    return SizeRow(
        name=size.goal.name,
        score=model.score,
        drop=teacher.score - model.score,
        encoder_params=model.encoder_params,
        sparsity=report.sparsity.realised,
        standard_error=report.standard_error,
        expected_speedup=speed.expected_speedup if speed else None,
        measured_speedup=speed.measured.speedup if speed and speed.measured else None,
    )
