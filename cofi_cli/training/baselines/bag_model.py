"""The model that word vectors alone make: their mean, and a hidden layer that reads it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cofi_cli.training.baselines.word_bags import Reads

HIDDEN = 256
"""Width of the hidden layer."""
WINDOW = 5
"""Words that a tag is read from: its own and two on either side."""
PARTS: Mapping[Reads, int] = {"text": 1, "pair": 4, "words": WINDOW}
"""Vectors side by side that the hidden layer reads."""


class WordVectors(nn.Module):
    """Word vectors, their mean, a hidden layer, and outputs.

    Args:
        table: the vectors to start from, (V, d).
        what: a row is; a pair's layer reads [u, v, |u - v|, u · v], a word's those of its window.
        outputs: C.
        plain: the mean through one matrix, without a hidden layer, as static embedders have it;
            the matrix starts as the identity where C = d.
        dropout: of the hidden layer and of what it reads.
    """

    def __init__(
        self, table: Tensor, *, what: Reads, outputs: int, plain: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.what, self.dropout = what, dropout
        own = table.detach().float().clone()
        self.table = nn.EmbeddingBag.from_pretrained(
            own, freeze=False, mode="mean", include_last_offset=True
        )
        width = own.shape[1]
        self.hidden = None if plain else nn.Linear(PARTS[what] * width, HIDDEN)
        self.out = nn.Linear(width if plain else HIDDEN, outputs)
        if plain:
            nn.init.eye_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, ids: Tensor, ends: Tensor, counts: Tensor) -> Tensor:
        """Return the outputs, (rows, C), or (words, C).

        Args:
            ids: of all bags' tokens, (n,) int64.
            ends: where the bags begin and the last one ends, (bags + 1,) int64.
            counts: bags of each row, (rows,) int64.
        """
        vectors = self.table(ids, ends)
        if self.what == "pair":
            u, v = vectors[0::2], vectors[1::2]
            vectors = torch.cat([u, v, (u - v).abs(), u * v], dim=-1)
        elif self.what == "words":
            vectors = _windows(vectors, counts)
        if self.hidden is not None:
            vectors = F.dropout(vectors, self.dropout, self.training)
            vectors = F.dropout(F.relu(self.hidden(vectors)), self.dropout, self.training)
        logits: Tensor = self.out(vectors)
        return logits


def _windows(vectors: Tensor, counts: Tensor) -> Tensor:
    """Put each word's neighbours beside it, zeros beyond its row: (words, d) to (words, 5·d)."""
    row = torch.arange(len(counts)).repeat_interleave(counts)
    place = torch.arange(len(row))
    parts = []
    for step in range(-(WINDOW // 2), WINDOW // 2 + 1):
        there = (place + step).clamp(0, max(len(row) - 1, 0))
        is_own = (there == place + step) & (row[there] == row)
        parts.append(vectors[there] * is_own[:, None])
    return torch.cat(parts, dim=-1)
