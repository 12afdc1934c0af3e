"""Embeddings as one operator of onnxruntime: three tables, their sum and its LayerNormalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cofi_cli.modeling.low_rank import LowRankEmbedding


class FusedEmbeddings(nn.Module):
    """Stands in the place of an encoder's embeddings.

    Args:
        embeddings: ones that :meth:`fits`; not changed.
    """

    @torch.no_grad()
    def __init__(self, embeddings: Any) -> None:
        super().__init__()
        self.norm, self.project = embeddings.norm, embeddings.project
        self.word = nn.Parameter(embeddings.word.weight)
        places, types = embeddings.position.weight[embeddings.offset :], embeddings.token_type
        if types is not None and not embeddings.has_types:
            places = places + types.weight[0]
        self.position = nn.Parameter(places.clone())
        has_types = types is not None and embeddings.has_types
        self.types = nn.Parameter(types.weight) if has_types else None
        bias = self.norm.bias
        self.shift = nn.Parameter(torch.zeros_like(self.norm.weight)) if bias is None else bias

    @staticmethod
    def fits(embeddings: Any) -> bool:
        """Whether the operator knows all that these do."""
        is_whole = embeddings.position is not None and embeddings.norm is not None
        has_one_table = not isinstance(embeddings.word, LowRankEmbedding)
        return is_whole and has_one_table and embeddings.widen is None

    def sum(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """Return the normalised sums, (B, T, e), for (B, T) int; types may be ``None``."""
        apply: Any = _Operator.apply
        kinds = None if self.types is None or types is None else types.to(torch.int32)
        y: Tensor = apply(
            ids.to(torch.int32),
            kinds,
            self.word,
            self.position,
            None if kinds is None else self.types,
            self.norm.weight,
            self.shift,
            float(self.norm.eps),
        )
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Turn what :meth:`sum` gave into the stream, (B, T, d)."""
        return x if self.project is None else self.project(x)


class _Operator(torch.autograd.Function):
    """Stands for com.microsoft.EmbedLayerNormalization while tracing; computes nothing."""

    @staticmethod
    def forward(
        ctx: Any,
        ids: Tensor,
        kinds: Tensor | None,
        word: Tensor,
        position: Tensor,
        types: Tensor | None,
        weight: Tensor,
        shift: Tensor,
        eps: float,
    ) -> Tensor:
        """Return zeros of the result's shape, (B, T, e)."""
        return word.new_zeros(*ids.shape, word.shape[1])

    @staticmethod
    def symbolic(
        g: Any,
        ids: Any,
        kinds: Any,
        word: Any,
        position: Any,
        types: Any,
        weight: Any,
        shift: Any,
        eps: float,
    ) -> Any:
        """Return the node; its second output, about padding, is not used."""
        y, _ = g.op(
            "com.microsoft::EmbedLayerNormalization",
            ids,
            _absent(g) if kinds is None else kinds,
            word,
            position,
            _absent(g) if types is None else types,
            weight,
            shift,
            epsilon_f=eps,
            outputs=2,
        )
        y.setType(word.type().with_sizes([None, None, weight.type().sizes()[0]]))
        return y


def _absent(g: Any) -> Any:
    """Return what stands for an input that is left out."""
    none = g.op("prim::Constant")
    none.setType(torch._C.OptionalType.ofTensor())
    return none
