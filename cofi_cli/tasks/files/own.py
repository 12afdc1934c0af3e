"""The user's own files, by the kind of task that they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.builtin.embedding import embedding_from_files
from cofi_cli.tasks.builtin.squad import squad_from_files
from cofi_cli.tasks.files.labelled import task_from_files
from cofi_cli.tasks.files.tokens import task_from_token_files
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.task import Task

LOADERS: Mapping[str, Callable[[TaskConfig], Task]] = {
    "classification": task_from_files,
    "regression": task_from_files,
    "multilabel": task_from_files,
    "ranking": task_from_files,
    "span": squad_from_files,
    "tokens": task_from_token_files,
    "embedding": embedding_from_files,
}
"""Kind -> what reads such files."""


def task_from_own_files(config: TaskConfig) -> Task:
    """Load own files as ``kind`` says, or their extension, or as what their labels look like.

    Raises:
        CofiError: no training file, or whatever the kind's reader finds wrong.
    """
    if config.train is None:
        raise CofiError(
            "No task given.",
            hint="Name one with --task, or your own files with --train FILE --validation FILE.",
        )
    suffix = Path(config.train).suffix.lower()
    told = (own.name for own in KINDS.values() if suffix in own.suffixes)
    kind = config.kind or next(told, "classification")
    if kind not in LOADERS:
        raise CofiError(
            f"Own files of --kind {kind} cannot be read. Choices: {', '.join(LOADERS)}."
        )
    return LOADERS[kind](config)
