"""``--dry-run``: everything checked, nothing trained or written."""

from __future__ import annotations

from typing import Any

from cofi_cli.config import RunConfig
from cofi_cli.pruning.distillation import teacher_taps
from cofi_cli.runs import RunDir
from cofi_cli.tasks.encoding import check_length
from cofi_cli.training.checks import check_target, guard_data, guard_folder, wide_numbers
from cofi_cli.training.embedder_checks import check_embedders, given_teacher, task_tokenizer
from cofi_cli.training.run_task import load_run_task
from cofi_cli.training.schedule import check_schedule, slow_gates, total_steps
from cofi_cli.training.teacher_checks import check_given_teacher


def dry_run(
    config: RunConfig, run: RunDir | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Validate a configuration against its model and data; return what would happen.

    Args:
        config: of the run.
        run: its folder, looked at as well where it is given.
        resume: whether that run would go on.

    Raises:
        CofiError: whatever :func:`~cofi_cli.training.pipeline.prune` would raise at its start.
    """
    if run is not None:
        guard_folder(run, config, command="prune", resume=resume)
    shape = check_target(config)
    most = shape.reachable(config.prune.gates, config.prune.round_widths_to)
    task = load_run_task(config)
    if run is not None:
        guard_data(run, task)
    check_embedders(config, task)
    tokenizer = task_tokenizer(config, task)
    check_length(tokenizer, task.max_length)
    given = given_teacher(config, task)
    check_given_teacher(config, task, prunes=True)
    counts = {name: len(split) for name, split in task.splits.items()}
    features = None
    if task.kind in ("span", "tokens"):  # long ones are cut into several
        features = {name: len(task.encode(name, tokenizer)) for name in task.splits}
    rows = (features or counts)["train"]
    check_schedule(config, rows=rows)
    stages = []
    if given is None:
        stages.append(_stage("teacher", rows, config.teacher))
    stages.append(_stage("prune", rows, config.prune))
    if config.recover.epochs:
        stages.append(_stage("recover", rows, config.recover))
    return {
        "model": config.model,
        "task": task.name,
        "kind": task.kind,
        "rows": counts,
        "features": features,
        "labels": list(task.labels),
        "metric": task.metrics[0],
        "shape": shape.as_dict(),
        "prunable_weights": shape.prunable,
        "kept_weights": round(shape.prunable * (1 - config.prune.sparsity)),
        "reachable_sparsity": [0.0, most],
        "teacher_layers": teacher_taps(shape.n_layers),
        "stages": stages,
        "warnings": [note for note in (slow_gates(config, rows=rows), wide_numbers(task)) if note],
    }


def _stage(name: str, rows: int, settings: Any) -> dict[str, Any]:
    steps = total_steps(rows, batch_size=settings.batch_size, epochs=settings.epochs)
    return {"name": name, "epochs": settings.epochs, "steps": steps}
