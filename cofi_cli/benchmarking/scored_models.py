"""What a benchmark scores on, and which models; decided before anything is timed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.find import run_of, task_of
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.recorded_task import load_run_task

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


def first_task(runs: Iterable[RunDir], *, is_needed: bool) -> tuple[Task | None, RunDir | None]:
    """Return the task of the first run that has one; and that run.

    A task whose data is not reachable costs the scores, not the benchmark,
    unless they are needed for a gate.
    """
    run = next(filter(task_of, runs), None)
    if run is None:
        return None, None
    try:
        return load_run_task(run), run
    except CofiError as error:
        if is_needed or error.exit_code != UNREACHABLE:
            raise
        logger.warning("No scores: %s", error.message)
        return None, None


def scored_models(
    models: Sequence[Model], task: Task, *, home: RunDir | None, torch: bool
) -> list[Model]:
    """Return the models to score; those of runs with another task than ``home`` are named.

    A checkpoint's own score is in the run's report; scored again only when asked for.

    Args:
        models: all that are timed.
        task: what they are scored on.
        home: the run whose task that is; ``None`` where the user named it, for all models.
        torch: whether the checkpoints were asked for.
    """
    asked = [model for model in models if model.runtime != "torch" or torch]
    if home is None:
        return asked
    is_same = {home.root.resolve(): True}
    kept = []
    for model in asked:
        run = run_of(model.path)
        if run is not None and run.root not in is_same:
            is_same[run.root] = _has_task(run, task, home)
        if run is None or is_same[run.root]:
            kept.append(model)
        else:
            logger.warning(
                "%s is not scored: the task of its run %s is not that of %s. "
                "--task names one for all.",
                model.name,
                run.root.name,
                home.root.name,
            )
    return kept


def _has_task(run: RunDir, task: Task, home: RunDir) -> bool:
    """Whether a run's dev set, labels and metrics are those of a task; agreement is a run's own."""
    if task.answers:
        return False
    own = task_of(run)
    if own is not None and own == task_of(home):
        return True
    try:
        other = load_run_task(run)
    except CofiError:
        return False
    if other is None or other.answers:
        return False
    facts = [
        (one.kind, one.labels, one.metrics, one.fingerprint.get("validation"))
        for one in (task, other)
    ]
    return facts[0] == facts[1]
