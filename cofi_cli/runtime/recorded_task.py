"""The task that a run was trained on, loaded again to score on it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir, recorded
from cofi_cli.runs.find import task_of
from cofi_cli.yaml_files import read_yaml

if TYPE_CHECKING:
    from cofi_cli.tasks import Task
log = logging.getLogger(__name__)


def load_run_task(run: RunDir) -> Task | None:
    """Load the task of a run, ``None`` when its configuration names none.

    Says so where its rows are not those of the training.

    Raises:
        CofiError: its data, or what its teacher answered, is not reachable (exit code 6).
    """
    config = task_of(run)
    if config is None:
        return None
    from cofi_cli.tasks import EXTRA, Taught, asks_teacher, load_task
    from cofi_cli.tasks.teacher.agreement import AGREEMENT, load_answers

    taught = None
    if asks_teacher(config):
        from cofi_cli.architectures import read_answers

        taught = Taught.of(read_answers(_teacher_of(run)), config.kind)
    task = load_task(config, taught)
    if task.headline == AGREEMENT:
        task = replace(task, answers=load_answers(run.answers, task.fingerprint))
    then, now = _trained_on(run), task.fingerprint
    scored = {*(then or {}), *now} - {EXTRA}
    if then and (changed := sorted(k for k in scored if then.get(k) != now.get(k))):
        log.warning(
            "The rows of %s changed since it was trained: %s. The scores use the "
            "present rows; relative paths start in the current folder.",
            run.root,
            ", ".join(changed),
        )
    return task


def _trained_on(run: RunDir) -> dict[str, str] | None:
    """Return the fingerprint of the rows that a run was trained on, where it is known."""
    try:
        env = recorded(run)
    except CofiError as error:
        log.warning("%s The task of the run is therefore unknown.", error.message)
        return None
    return env.data if env is not None else None


def _teacher_of(run: RunDir) -> str:
    """Return the run's own teacher, else the one that its configuration names."""
    if (run.teacher / "config.json").exists():
        return str(run.teacher)
    return str(read_yaml(run.config)["teacher"]["path"])
