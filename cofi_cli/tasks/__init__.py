"""Tasks: data, preprocessing and metric. :func:`load_task` finds one by its configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError, unknown
from cofi_cli.tasks.embedding_task import STSB, stsb_embedding
from cofi_cli.tasks.encoding import Encoded, Ragged, batches, collate, encode, eval_batches
from cofi_cli.tasks.glue import GLUE, glue_from_folder
from cofi_cli.tasks.squad_task import SQUAD, squad_task
from cofi_cli.tasks.task import Split, Task
from cofi_cli.tasks.taught import Taught
from cofi_cli.tasks.token_builtin import TOKEN_TASKS, load_builtin
from cofi_cli.tasks.unlabelled import forget_labels, no_labels, no_teacher, task_from_texts

__all__ = [
    "Encoded",
    "Ragged",
    "Split",
    "Task",
    "Taught",
    "batches",
    "collate",
    "encode",
    "eval_batches",
    "load_task",
    "no_labels",
    "no_teacher",
    "task_names",
]


def task_names() -> list[str]:
    """Return the names that ``--task`` knows."""
    return list(BUILTIN)


def load_task(config: TaskConfig, taught: Taught | None = None) -> Task:
    """Load the task that a configuration names, or the user's own files.

    Args:
        config: what to load.
        taught: what the teacher answers, where ``config.unlabelled`` leaves that to it; an
            embedder has no labels to leave unread.

    Raises:
        CofiError: an unknown name, options that exclude each other, or a fault in the data;
            exit code 6 if the data cannot be reached.
    """
    name, files = config.name, (config.train, config.validation, config.test)
    if config.unlabelled and taught is None and config.kind != "embedding":
        raise no_teacher()
    if name is None:
        if taught is not None and config.train is not None:
            return task_from_texts(config, taught)
        from cofi_cli.tasks.own_files import task_from_own_files

        return task_from_own_files(config)
    if name not in BUILTIN:
        raise unknown(
            "task",
            name,
            task_names(),
            hint="For your own files: --train and --validation",
        )
    if any(files):
        raise CofiError(
            f"--task {name} and --train, --validation or --test exclude each other.",
            hint=f"Leave out --task for your own files; for {name} in local files use --data DIR.",
        )
    given = {"--text": config.text, "--label": config.label}
    unread = [flag for flag, value in given.items() if value]
    if unread and name not in TOKEN_TASKS:
        raise CofiError(
            f"{' and '.join(unread)} would be ignored: task {name} has columns of its own.",
            hint="They are for your own files: --train and --validation.",
        )
    task = BUILTIN[name](config)
    return task if taught is None else forget_labels(task, taught)


def _glue(config: TaskConfig) -> Task:
    assert config.name is not None
    if config.data:
        return glue_from_folder(
            config.name,
            Path(config.data),
            max_length=config.max_length,
            unlabelled=config.unlabelled,
        )
    from cofi_cli.tasks.hub import glue_from_hub

    return glue_from_hub(config.name, max_length=config.max_length)


def _demo(config: TaskConfig) -> Task:
    if config.data:
        raise CofiError("The task 'demo' takes no --data: it reads this Python's own library.")
    from cofi_cli.tasks.demo import demo_task

    return demo_task(max_length=config.max_length)


BUILTIN: dict[str, Callable[[TaskConfig], Task]] = {
    **dict.fromkeys(GLUE, _glue),
    **dict.fromkeys(SQUAD, squad_task),
    **dict.fromkeys(TOKEN_TASKS, load_builtin),
    STSB: stsb_embedding,
    "demo": _demo,
}
"""Built-in task -> what loads it, from ``data`` or the hub."""
