"""The rank of the word vectors at which an exported folder has no more bytes than asked."""

from __future__ import annotations

import math
from typing import Any

from cofi_cli.config.section import bytes_of
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.vocabulary.factors import FEWEST_COLUMNS, SCALE_BYTES

_GRAPH = 150_000
"""Bytes of an exported folder beside tables, matrices and tokenizer."""


def fitting_rank(model: CofiForTask, budget: int, *, tokenizer: Any) -> int:
    """Return the highest rank at which a model's folder in int8 has no more bytes than asked.

    Args:
        model: compact.
        budget: bytes.
        tokenizer: that goes along.
    """
    word: Any = model.model.encoder.embeddings.word
    others = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in word.parameters())
    width: int = model.config.embedding_size or model.config.hidden_size
    room = budget - others - smallest_folder(tokenizer, columns=0)
    rank: int = math.floor(room / (len(word.weight) + width))
    return max(FEWEST_COLUMNS, rank)


def smallest_folder(tokenizer: Any, *, columns: int = FEWEST_COLUMNS) -> int:
    """Return the bytes of a folder with a table of so many columns and no other weights."""
    layout: str = tokenizer.backend_tokenizer.to_str()
    return _GRAPH + len(layout.encode()) + len(tokenizer) * (columns + SCALE_BYTES)


def check_reachable(tokenizer: Any, size: str) -> None:
    """Refuse a size that no rank reaches.

    Raises:
        CofiError: tokenizer and the narrowest table alone take more.
    """
    least = smallest_folder(tokenizer)
    if least > bytes_of(size):
        raise CofiError(
            f"size is {size}, and a table of {FEWEST_COLUMNS} columns and the tokenizer alone take "
            f"{least / 1e6:.1f} MB.",
            hint="Ask for a larger --size, or for fewer pieces as well: --vocab auto.",
        )
