"""Embeddings for the lean graph: what stands for place and token type comes from one table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LeanEmbeddings(nn.Module):
    """Word embeddings less minus (position + token type), then as the encoder has it.

    Row p · types + t of the table is minus the sum for position p and type t. A position that
    the model does not have lies beyond the table's end, so the runtime refuses it as before;
    a type that it does not have is not noticed.

    Args:
        embeddings: with learned positions; becomes a part of this.
    """

    @torch.no_grad()
    def __init__(self, embeddings: Any) -> None:
        super().__init__()
        self.inner = embeddings
        types = embeddings.token_type
        places = embeddings.position.weight[embeddings.offset :, None]
        if types is not None:
            own = types.weight if embeddings.has_types else types.weight[:1]
            places = places + own
        self.types = places.shape[1]
        self.minus = nn.Parameter(-places.flatten(0, 1))

    @property
    def last(self) -> Any:
        """The module whose bias is added to the stream last."""
        return self.inner.project or self.inner.norm

    def forward(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """Return the stream, (B, T, d), for (B, T) int; types may be ``None``."""
        places = torch.arange(ids.shape[1], device=ids.device)[None]
        if self.types > 1 and types is not None:
            places = places * self.types + types
        x: Tensor = self.inner(self.inner.word(ids) - F.embedding(places, self.minus))
        return x
