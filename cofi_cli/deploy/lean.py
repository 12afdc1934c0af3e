"""The lean graph: little besides matrix products, and none that the answer does not need.

Three rewritings, each exact:

- A residual is the third operand of the product that it is added to: y = x + W h becomes
  Gemm(h, W, x), which accumulates onto a copy of x. The product's bias b goes into the
  LayerNorm before, whose output is u = x + b then, and what reads u takes it out again:
  W₁ x + b₁ = W₁ u + (b₁ - W₁ b).
- Q, K and V come from one product, 1/√dh folded into Q's weights.
- A head that reads the first token only needs that token alone after the last attention, and
  of this attention one query a row.

Between sub-layers the stream is (B·T, d), as Gemm wants it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.encoder import Attention, FeedForward, attend

Size = tuple[Any, Any]
"""Rows and length of a batch, symbols while tracing."""


def reads_first_token(model: CofiForTask) -> bool:
    """Whether the head looks at nothing but the first token's state.

    An embedder's graph gives the states of all tokens as well.
    """
    is_pooled = model.has_pooler and model.config.pooling == "cls"
    return is_pooled and model.kind != "embedding"


class LeanAttention(nn.Module):
    """Attention sub-layer on a stream that holds its output bias already."""

    def __init__(self, attention: Attention, *, first_only: bool, fused: Any = None) -> None:
        super().__init__()
        self.heads, self.head_dim = attention.heads, attention.head_dim
        self.width = self.heads * self.head_dim
        self.first_only, self.fused = first_only, fused
        parts = (attention.query, attention.key, attention.value)
        own = attention.output.bias
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts]) - weight @ own
        if fused is None:
            scale = torch.ones(3 * self.width)
            scale[: self.width] = self.head_dim**-0.5
            weight, bias = weight * scale[:, None], bias * scale
        self.weight = nn.Parameter(weight.t().contiguous())
        self.bias = nn.Parameter(bias)
        self.output = nn.Parameter(attention.output.weight.t().contiguous())
        self.norm = attention.norm

    def forward(self, u: Tensor, mask: Tensor, size: Size) -> Tensor:
        """Take u, (B·T, d), and return the same, or (B, d) of the first tokens.

        mask is (B, 1, 1, T), added to scores, or for onnxruntime's operator (B, T), 1 = attend.
        """
        batch, length = size
        if self.fused is not None:
            whole = u.reshape(batch, length, -1)
            context = self.fused(whole, self.weight, self.bias, mask, self.heads, self.width)
            return self._close(u, context.reshape(-1, self.width))
        if self.first_only:
            first = u.reshape(batch, length, -1)[:, 0]
            keys, values = torch.split(self._product(u, self.width, 3), self.width, dim=-1)
            q = self._by_head(self._product(first, 0, 1), batch, 1)
            u = first
        else:
            queries, keys, values = torch.split(self._product(u, 0, 3), self.width, dim=-1)
            q = self._by_head(queries, batch, length)
        k, v = (self._by_head(part, batch, length) for part in (keys, values))
        context = attend(q, k, v, mask, dropout=0.0, head_dim=1, eager=True)
        return self._close(u, context.transpose(1, 2).reshape(-1, self.width))

    def _product(self, u: Tensor, start: int, parts: int) -> Tensor:
        """Multiply with Q, K, V from column ``start`` to the end of the so manieth part."""
        end = parts * self.width
        return torch.addmm(self.bias[start:end], u, self.weight[:, start:end])

    def _by_head(self, x: Tensor, batch: Any, length: Any) -> Tensor:
        return x.reshape(batch, length, self.heads, self.head_dim).transpose(1, 2)

    def _close(self, u: Tensor, context: Tensor) -> Tensor:
        y: Tensor = self.norm(torch.addmm(u, context, self.output))
        return y


class LeanFeedForward(nn.Module):
    """FFN sub-layer on a stream that holds its output bias already."""

    def __init__(self, ffn: FeedForward) -> None:
        super().__init__()
        bias = ffn.up.bias - ffn.up.weight @ ffn.down.bias
        self.up, self.up_bias = ffn.up.weight, nn.Parameter(bias)
        self.down = nn.Parameter(ffn.down.weight.t().contiguous())
        self.norm, self.activation = ffn.norm, ffn.activation

    def forward(self, u: Tensor) -> Tensor:
        """Take and return (n, d)."""
        inner = self.activation(F.linear(u, self.up, self.up_bias))
        y: Tensor = self.norm(torch.addmm(u, inner, self.down))
        return y


class LeanEncoder(nn.Module):
    """The encoder of a dense or compact model, written lean.

    Args:
        model: not changed.
        fused: onnxruntime's Attention as a function, or ``None`` for standard operators.
    """

    @torch.no_grad()
    def __init__(self, model: CofiForTask, fused: Any = None) -> None:
        super().__init__()
        encoder: Any = copy.deepcopy(model.model.encoder)
        self.embeddings, self.is_fused = encoder.embeddings, fused is not None
        parts: list[Any] = [
            part for layer in encoder.layers for part in (layer.attention, layer.ffn) if part
        ]
        places = [i for i, part in enumerate(parts) if isinstance(part, Attention)]
        last = places[-1] if places and reads_first_token(model) else None
        self.cut_at_once = reads_first_token(model) and not places
        self.parts = nn.ModuleList()
        norm = self.embeddings.closing
        for i, part in enumerate(parts):
            if isinstance(part, Attention):
                bias = part.output.bias
                is_last = i == last
                self.parts.append(
                    LeanAttention(part, first_only=is_last, fused=None if is_last else fused)
                )
            else:
                bias = part.down.bias
                self.parts.append(LeanFeedForward(part))
            norm.bias += bias
            norm = part.norm

    def forward(self, ids: Tensor, types: Tensor | None, bias: Tensor, mask: Tensor) -> Tensor:
        """Return the last state, (B, T, d), or (B, 1, d) where the head reads no more.

        Args:
            ids, types, mask: (B, T); types may be ``None``.
            bias: (B, 1, 1, T), added to scores.
        """
        batch, length = ids.shape
        x = self.embeddings(ids, types)
        rows = x[:, 0] if self.cut_at_once else x.reshape(-1, x.shape[-1])
        is_cut = self.cut_at_once
        for part in self.parts:
            if isinstance(part, LeanAttention):
                rows = part(rows, bias if part.fused is None else mask, (batch, length))
                is_cut = is_cut or part.first_only
            else:
                rows = part(rows)
        last: Tensor = rows.reshape(batch, 1 if is_cut else length, x.shape[-1])
        return last
