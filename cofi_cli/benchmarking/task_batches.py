"""The task's own rows as inputs to time: what padding to a fixed length distorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.errors import CofiError
from cofi_cli.runtime.inputs import Batch, Rows, pad, task_rows
from cofi_cli.runtime.model import Model

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

MAX_ROWS = 1024
"""Largest number of rows, from the start of the dev set."""


@dataclass(frozen=True)
class TaskBatches:
    """Full batches of one size, as the rows come.

    Attributes:
        batches: input name -> array, (batch, longest of the batch).
        mean_tokens: of a row, padding aside.
        mean_length: of a row, padding counted in.
    """

    batches: list[Batch]
    mean_tokens: float
    mean_length: float


def task_batches(
    models: Sequence[Model], task: Task, sizes: Sequence[int]
) -> dict[int, dict[str, TaskBatches]]:
    """Return batch size -> model's name -> its batches of validation rows, the same for all.

    Raises:
        CofiError: a batch is larger than the dev set, or there is no tokenizer.
    """
    from cofi_cli.architectures import load_tokenizer

    known: dict[Path, tuple[Rows, int]] = {}
    for model in models:
        if model.tokenizer not in known:
            tokenizer = load_tokenizer(str(model.tokenizer))
            rows = task_rows(task, tokenizer, limit=MAX_ROWS)
            known[model.tokenizer] = rows, int(tokenizer.pad_token_id or 0)
    return {
        size: {model.name: cut(*known[model.tokenizer], size=size) for model in models}
        for size in sizes
    }


def rows_as_batches(task: Task, tokenizer: Any, *, size: int) -> TaskBatches:
    """Return validation rows of a task as batches of one size.

    Raises:
        CofiError: there are fewer rows than one batch takes.
    """
    rows = task_rows(task, tokenizer, limit=MAX_ROWS)
    return cut(rows, int(tokenizer.pad_token_id or 0), size=size)


def cut(rows: Rows, pad_id: int, *, size: int) -> TaskBatches:
    """Cut rows into full batches, each padded to its own longest; what is left over is dropped.

    Raises:
        CofiError: there are fewer rows than one batch takes.
    """
    if len(rows) < size:
        raise CofiError(
            f"A batch of {size} is more than the {len(rows)} rows of {rows.origin}.",
            hint="Choose a smaller --batch, or lengths instead of task: --seq-len 128.",
        )
    starts = range(0, len(rows) - size + 1, size)
    padded = [pad(rows, range(start, start + size), pad_id=pad_id) for start in starts]
    return TaskBatches(
        batches=padded,
        mean_tokens=float(np.mean([batch["attention_mask"].sum(axis=-1) for batch in padded])),
        mean_length=float(np.mean([batch["attention_mask"].shape[-1] for batch in padded])),
    )
