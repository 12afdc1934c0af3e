"""The rank of the word vectors at which an exported folder has no more bytes than asked."""

from __future__ import annotations

import math
from typing import Any

from cofi_cli.config.section import bytes_of
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.vocabulary.factors import FEWEST_COLUMNS, SCALE_BYTES

_FOLDER, _LAYER = 90_000, 26_000
"""Bytes of an exported folder beside tables, matrices and tokenizer: in all, and of a layer's part
of the graph. Graphs of six layers were found to take 119 to 175 kB; the rest is margin."""
_EXACT = 4
"""Bytes of a number that stays in fp32: of biases, norms, and the scales of a matrix's rows."""


def fitting_rank(model: CofiForTask, budget: int, *, tokenizer: Any) -> int:
    """Return the highest rank at which a model's folder in int8 has no more bytes than asked.

    Args:
        model: compact.
        budget: bytes.
        tokenizer: that goes along.

    Returns:
        The rank; below :data:`FEWEST_COLUMNS` where none fits.
    """
    word: Any = model.model.encoder.embeddings.word
    skipped = {id(p) for p in word.parameters()}
    others = sum(_int8_bytes(p) for p in model.parameters() if id(p) not in skipped)
    width: int = model.config.embedding_size or model.config.hidden_size
    graph = len(model.model.encoder.layers) * _LAYER
    room = budget - others - graph - smallest_folder(tokenizer, columns=0)
    return math.floor(room / (len(word.weight) + width))


def smallest_folder(tokenizer: Any, *, columns: int = FEWEST_COLUMNS) -> int:
    """Return the bytes of a folder with a table of so many columns and no other weights."""
    layout: str = tokenizer.backend_tokenizer.to_str()
    return _FOLDER + len(layout.encode()) + len(tokenizer) * (columns + SCALE_BYTES)


def check_reachable(tokenizer: Any, size: str, *, weights: int) -> None:
    """Refuse a size that no rank reaches.

    Args:
        tokenizer: that goes along.
        size: asked for.
        weights: that the smallest model keeps in its matrices.

    Raises:
        CofiError: tokenizer, weights and the narrowest table alone take more.
    """
    least = smallest_folder(tokenizer) + weights
    if least > bytes_of(size):
        raise CofiError(
            f"size is {size}, and the tokenizer, the weights that stay and a table of "
            f"{FEWEST_COLUMNS} columns take {least / 1e6:.1f} MB.",
            hint="Ask for a larger --size, a higher --sparsity, or fewer pieces: --vocab auto.",
        )


def _int8_bytes(weight: Any) -> int:
    """Return the bytes of a parameter in an int8 file: a matrix has a scale for each row."""
    if weight.dim() < 2:
        return _EXACT * int(weight.numel())
    return int(weight.numel()) + _EXACT * len(weight)
