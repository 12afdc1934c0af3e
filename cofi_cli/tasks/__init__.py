"""Tasks: data, preprocessing and metric. :func:`load_task` finds one by its configuration."""

from __future__ import annotations

from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError, unknown
from cofi_cli.tasks.encoding import Encoded, Ragged, batches, collate, encode, eval_batches
from cofi_cli.tasks.glue import GLUE, glue_from_folder
from cofi_cli.tasks.task import Split, Task

__all__ = [
    "Encoded",
    "Ragged",
    "Split",
    "Task",
    "batches",
    "collate",
    "encode",
    "eval_batches",
    "load_task",
    "task_names",
]


def task_names() -> list[str]:
    """Return the names that ``--task`` knows."""
    return [*GLUE, "demo"]


def load_task(config: TaskConfig) -> Task:
    """Load the task that a configuration names, or the user's own files.

    Raises:
        CofiError: an unknown name, options that exclude each other, or a fault in the data;
            exit code 6 if the data cannot be reached.
    """
    name, files = config.name, (config.train, config.validation, config.test)
    if name is not None and name not in task_names():
        raise unknown(
            "task",
            name,
            task_names(),
            hint="For your own files: --train and --validation",
        )
    if name is None:
        from cofi_cli.tasks.files import task_from_files

        return task_from_files(config)
    if any(files):
        raise CofiError(
            f"--task {name} and --train, --validation or --test exclude each other.",
            hint=f"Leave out --task for your own files; for {name} in TSV files use --data DIR.",
        )
    if name == "demo":
        if config.data:
            raise CofiError("The task 'demo' takes no --data: it reads this Python's own library.")
        from cofi_cli.tasks.demo import demo_task

        return demo_task(max_length=config.max_length)
    if config.data:
        return glue_from_folder(name, Path(config.data), max_length=config.max_length)
    from cofi_cli.tasks.hub import glue_from_hub

    return glue_from_hub(name, max_length=config.max_length)
