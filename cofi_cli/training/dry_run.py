"""``--dry-run``: everything checked, nothing trained or written."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cofi_cli.config import RunConfig
from cofi_cli.pruning.distillation import teacher_taps
from cofi_cli.runs import RunDir
from cofi_cli.training.preflight.checks import preflight
from cofi_cli.training.preflight.embedder import given_teacher
from cofi_cli.training.preflight.run import guard_folder
from cofi_cli.training.processes import open_processes
from cofi_cli.training.session import open_session
from cofi_cli.training.stages.interrupts import StopFlag
from cofi_cli.training.stages.progress import Progress
from cofi_cli.training.stages.schedule import Schedule, slow_gates, total_steps
from cofi_cli.training.stages.target import as_speedup
from cofi_cli.training.stopwatch import Stopwatch
from cofi_cli.training.teacher.augmentation import imitated_rows
from cofi_cli.training.teacher.obtain import load_for_task
from cofi_cli.training.time_budget import estimate, fit, measure_costs


def dry_run(
    config: RunConfig,
    run: RunDir | None = None,
    *,
    resume: bool = False,
    stopwatch: Stopwatch | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Validate a configuration against its model and data; return what would happen.

    Args:
        run: its folder, looked at as well where it is given.
        resume: whether that run would go on.
        stopwatch: measures a latency table where a speed is asked for and none is named.

    Raises:
        CofiError: whatever :func:`~cofi_cli.training.pipeline.prune` would raise at its start.
    """
    processes = open_processes(config.train.device)
    if run is not None:
        guard_folder(run, config, command="prune", resume=resume)
    checked = preflight(
        config, run, command="prune", processes=processes, stopwatch=stopwatch, progress=progress
    )
    task, target = checked.task, checked.target
    assert target is not None, "pruning has a target"
    shape, by_weights = target.cost.shape, target.speedup is None
    most = target.most(config.prune.gates, config.prune.round_widths_to)
    given = given_teacher(config.model, config.teacher.path, task)
    counts = {name: len(split) for name, split in task.splits.items()}
    with TemporaryDirectory() as folder:
        session = open_session(
            config,
            RunDir(Path(folder) / "run"),
            task,
            target,
            progress=None,
            flag=StopFlag(),
            command="prune",
            processes=processes,
        )
        session = replace(session, imitated=imitated_rows(session))
        costs = measure_costs(session, load_for_task(session, config.model))
    encoded = {name: len(split) for name, split in session.splits.items()}
    rows = encoded["train"]
    steps = Schedule.of(config.prune, config.recover, rows=rows)
    if config.train.minutes is not None:
        steps = fit(session, costs, steps, minutes=config.train.minutes)
    stages = [("prune", steps.prune), ("recover", steps.recover * len(target.sizes(config.prune)))]
    if given is None:
        settings = config.teacher
        count = total_steps(rows, batch_size=settings.batch_size, epochs=settings.epochs)
        stages.insert(0, ("teacher", count))
    seconds = estimate(session, costs, steps)
    return {
        "model": config.model,
        "task": task.name,
        "kind": task.kind.name,
        "rows": counts,
        "features": encoded if task.kind.has_windows else None,
        "labels": list(task.labels),
        "metric": task.metrics[0],
        "shape": shape.as_dict(),
        "prunable_weights": shape.prunable,
        "kept_weights": round(shape.prunable * (1 - target.reduction)) if by_weights else None,
        "reachable_sparsity": [0.0, most] if by_weights else None,
        "reachable_speedup": None if by_weights else [1.0, as_speedup(most)],
        "teacher_layers": teacher_taps(shape.n_layers),
        "stages": [
            {"name": name, "steps": count, "seconds": getattr(seconds, name)}
            for name, count in stages
            if count
        ],
        "seconds": asdict(seconds) | {"total": seconds.total},
        "warnings": [*filter(None, [slow_gates(config.prune, steps)]), *checked.warnings],
    }
