"""Fewer position rows: a model that is only asked for short rows needs no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cofi_cli.errors import CofiError

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask


def shorten(model: CofiForTask, longest: int) -> None:
    """Remove the position rows that rows of ``longest`` tokens do not reach, in place.

    Raises:
        CofiError: the model has no table of positions for itself, or fewer rows.
    """
    config = model.config
    if config.position != "learned" or config.disentangled:
        raise CofiError(
            "--max-length removes rows of a table of positions, and this model's positions are "
            "no such table.",
            hint="Leave --max-length out.",
        )
    if not 2 <= longest <= config.longest_input:
        raise CofiError(
            f"max_length is {longest}; the model takes 2 to {config.longest_input} tokens.",
            hint=f"Use --max-length {config.longest_input} or less.",
        )
    rows = longest + config.position_offset
    embeddings: Any = model.model.encoder.embeddings
    weight = embeddings.position.weight
    with torch.no_grad():
        embeddings.position = nn.Embedding(rows, weight.shape[1], _weight=weight[:rows].clone())
    config.max_position_embeddings = rows
