"""Texts and pairs of texts as rows of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.encoded import Encoded, Ragged
from cofi_cli.tasks.rows import Split

_ROWS_AT_ONCE = 1000
"""Rows a call to the tokenizer: enough for its threads, little memory for Python's lists."""


def calls(
    tokenizer: Any, columns: Sequence[Sequence[Any]], **options: Any
) -> Iterator[tuple[int, Any]]:
    """Yield what a tokenizer returns for some rows at a time, and the number of the first.

    Args:
        tokenizer: of transformers.
        columns: all texts, and for pairs all second texts.
        options: of the call.
    """
    for start in range(0, len(columns[0]) if columns else 0, _ROWS_AT_ONCE):
        some = (list(column[start : start + _ROWS_AT_ONCE]) for column in columns)
        yield start, tokenizer(*some, return_attention_mask=False, **options)


def encode_rows(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise texts and pairs; rows longer than ``max_length`` are cut, the longer text first."""
    parts: list[Ragged] = []
    part_types: list[Ragged] = []
    columns = list(zip(*split.texts))
    for _, call in calls(tokenizer, columns, truncation=True, max_length=max_length):
        # At once into arrays: what a call returns takes some kilobytes a row.
        own = Ragged(call["input_ids"])
        zeros = Ragged.over(np.zeros_like(own.flat), own.lengths)
        given = call.get("token_type_ids")
        parts.append(own)
        part_types.append(Ragged(given) if given else zeros)
    ids, types = Ragged.joined(parts), Ragged.joined(part_types)
    labels: NDArray[Any] | None = None
    if split.labels is not None:
        integer = all(isinstance(label, int) for label in split.labels)
        labels = np.asarray(split.labels, dtype=np.int64 if integer else np.float32)
    return Encoded(ids, types, labels, ids.lengths)
