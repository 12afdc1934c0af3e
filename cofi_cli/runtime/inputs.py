"""Inputs that models are checked and scored on: the task's own rows, or synthetic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.tasks.encoded import Ragged, pad_rows

if TYPE_CHECKING:
    from cofi_cli.tasks import Encoded, Task

Batch = dict[str, np.ndarray]
"""input_ids, attention_mask, token_type_ids; int64, (batch, length), or with sequences between."""

SYNTHETIC_LENGTHS = (8, 1, 64, 3, 24, 2, 48, 5)


@dataclass(frozen=True)
class Rows:
    """Tokenised rows of uneven lengths, and where they came from."""

    input_ids: Sequence[Sequence[int]]
    token_type_ids: Sequence[Sequence[int]]
    origin: str
    parts: Ragged | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @classmethod
    def of(cls, encoded: Encoded, origin: str) -> Rows:
        """Take over a tokenised split."""
        return cls(encoded.input_ids, encoded.token_type_ids, origin, encoded.parts)


def task_rows(
    task: Task, tokenizer: Any, *, limit: int | None = None, split: str = "validation"
) -> Rows:
    """Tokenise the first ``limit`` rows of a task's dev set (the validation split), or another."""
    return Rows.of(task.encode(split, tokenizer, limit=limit), f"{task.name} {split}")


def synthetic_rows(*, vocab: int, longest: int, sequences: int = 0) -> Rows:
    """Return random valid rows of assorted lengths, the longest that the model takes among them.

    Args:
        vocab: ids are drawn below this.
        longest: tokens of a sequence.
        sequences: of a row; 0 = a row is one.
    """
    rng = np.random.default_rng(0)
    lengths = [min(length, longest) for length in SYNTHETIC_LENGTHS] + [longest]
    parts = Ragged([[length] * sequences for length in lengths]) if sequences else None
    sizes = [length * max(1, sequences) for length in lengths]
    ids = [rng.integers(vocab, size=size).tolist() for size in sizes]
    return Rows(ids, [[0] * size for size in sizes], "synthetic", parts)


def pad(rows: Rows, indices: Sequence[int], *, pad_id: int) -> Batch:
    """Return the rows named, padded to the longest of them."""
    return pad_rows(rows, indices, pad_id=pad_id)


def by_length(rows: Rows, batch_size: int) -> list[list[int]]:
    """Cut all rows into batches of similar lengths."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows.input_ids[i]), i))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
