"""The lean graph: little besides matrix products, and none that the answer does not need.

Rewritings, each exact:

- The bias b of a product whose result is added to the stream goes into the LayerNorm before,
  whose output is u = x + b then; what reads u takes it out again: W₁ x + b₁ = W₁ u + (b₁ - W₁ b).
- The residual is a difference, u - (-W) h. Of the operators that add, onnxruntime fuses Add with
  LayerNormalization, into something slow on processors, and runs Sum on one thread. So are the
  bias before Gelu, which fused as BiasGelu takes twice what Gelu does, and the embeddings.
- The scale is folded into Q's weights. K has no bias, which would add the same to all scores of a
  query, except where its product with distances is read (DeBERTa).
- A head that reads the first token only needs that token alone after the last attention, and
  of this attention one query a row.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.disentangled import Relative
from cofi_cli.modeling.encoder import Attention, FeedForward, attend
from cofi_cli.runtime.outputs import STATES


def reads_first_token(model: CofiForTask) -> bool:
    """Whether the head looks at nothing but the first token's state.

    An embedder's graph gives the states of all tokens as well.
    """
    is_pooled = model.has_pooler and model.config.pooling == "cls"
    return is_pooled and STATES not in model.output_names


class Residual(nn.Module):
    """LN(u + W h) on a stream u, (B, T, d), for h, (B, T, n)."""

    def __init__(self, product: nn.Linear, norm: Any) -> None:
        super().__init__()
        self.minus, self.norm = nn.Parameter(-product.weight), norm

    def forward(self, u: Tensor, h: Tensor) -> Tensor:
        """Return (B, T, d)."""
        y: Tensor = self.norm(u - F.linear(h, self.minus))
        return y


class LeanAttention(nn.Module):
    """Attention sub-layer on a stream that holds its output bias already.

    Args:
        attention: its parameters are used, not changed.
        first_only: whether to ask for the first token only.
        fused: onnxruntime's Attention as a function, which scales by itself.
    """

    def __init__(self, attention: Attention, *, first_only: bool, fused: Any = None) -> None:
        super().__init__()
        self.heads, self.head_dim = attention.heads, attention.head_dim
        self.width = self.heads * self.head_dim
        self.first_only, self.fused = first_only, fused
        shift, parts = attention.output.bias, (attention.query, attention.key, attention.value)
        q, k, v = (part.weight for part in parts)
        q_bias, k_bias, v_bias = (part.bias - part.weight @ shift for part in parts)
        if fused is None:
            scale = attention.scale
            self.query, self.key, self.value = (nn.Parameter(w) for w in (q * scale, k, v))
            self.query_bias, self.value_bias = nn.Parameter(q_bias * scale), nn.Parameter(v_bias)
            self.key_bias = nn.Parameter(k_bias)
            asking = attention.query.bias * scale
            self.row_biases = nn.ParameterList([asking, attention.key.bias])
        else:
            self.weight = nn.Parameter(torch.cat([q, k, v]).t().contiguous())
            self.bias = nn.Parameter(torch.cat([q_bias, torch.zeros_like(q_bias), v_bias]))
        self.close = Residual(attention.output, attention.norm)

    def forward(self, u: Tensor, mask: Tensor, relative: Relative | None = None) -> Tensor:
        """Take u, (B, T, d), and return the same, or (B, 1, d) of the first tokens.

        Args:
            u: (B, T, d).
            mask: broadcasts to (B, h, T, T) and is added to scores; for onnxruntime's operator
                (B, T), 1 = attend.
            relative: distances that scores read by content.
        """
        asking = u[:, :1] if self.first_only else u
        if self.fused is not None:
            context = self.fused(u, self.weight, self.bias, mask, self.heads, self.width)
        else:
            bias = None if relative is None else self.key_bias
            k = self._by_head(F.linear(u, self.key, bias))
            v = self._by_head(F.linear(u, self.value, self.value_bias))
            if relative is not None:
                q = self._by_head(F.linear(u, self.query, self.query_bias))
                mask = self._by_content(q, k, mask, relative)
                if self.first_only:
                    q, mask = q[:, :, :1], mask[:, :, :1]
            else:
                q = self._by_head(F.linear(asking, self.query, self.query_bias))
            context = attend(q, k, v, mask, dropout=0.0, scale=1.0, eager=True).transpose(1, 2)
            context = context.reshape(*context.shape[:2], self.width)
        y: Tensor = self.close(asking, context)
        return y

    def _by_content(self, q: Tensor, k: Tensor, mask: Tensor, relative: Relative) -> Tensor:
        """Return what is added to the scores, (B, h, T, T), for q scaled, (B, h, T, dh), and k."""
        rows = relative.rows
        asking, other = self.row_biases
        distances = (F.linear(rows, self.query, asking), F.linear(rows, self.key, other))
        return relative.bias(q, k, distances, mask, 1.0)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, self.head_dim).transpose(1, 2)


class LeanFeedForward(nn.Module):
    """FFN sub-layer on a stream that holds its output bias already."""

    def __init__(self, ffn: FeedForward) -> None:
        super().__init__()
        self.up, self.activation = ffn.up.weight, ffn.activation
        self.minus_bias = nn.Parameter(ffn.up.weight @ ffn.down.bias - ffn.up.bias)
        self.close = Residual(ffn.down, ffn.norm)

    def forward(self, u: Tensor) -> Tensor:
        """Take and return (B, T, d)."""
        y: Tensor = self.close(u, self.activation(F.linear(u, self.up) - self.minus_bias))
        return y


class LeanLayer(nn.Module):
    """A layer's sub-layers, where it has any; its nodes carry its number.

    By that number layers stay fp32 where 8 bits cost too much.
    """

    def __init__(self, attention: LeanAttention | None, ffn: LeanFeedForward | None) -> None:
        super().__init__()
        self.attention, self.ffn = attention, ffn

    @property
    def asks_once(self) -> bool:
        """Whether one query a row is asked."""
        return self.attention is not None and self.attention.first_only

    def forward(
        self, u: Tensor, bias: Tensor, mask: Tensor, relative: Relative | None = None
    ) -> Tensor:
        """Take and return (B, T, d), or return (B, 1, d); bias and mask as the encoder's."""
        if self.attention is not None:
            u = self.attention(u, bias if self.attention.fused is None else mask, relative)
        return u if self.ffn is None else self.ffn(u)


class LeanEmbeddings(nn.Module):
    """Word embeddings less minus (position + token type), then as the encoder has it.

    Row p · types + t of the table is minus the sum for position p and type t. A position that
    the model does not have lies beyond the table's end, so the runtime refuses it as before;
    a type that it does not have is not noticed. Embeddings without positions, or widened before
    LayerNorm, are summed as the encoder does it.

    Args:
        embeddings: becomes a part of this.
    """

    @torch.no_grad()
    def __init__(self, embeddings: Any) -> None:
        super().__init__()
        self.inner = embeddings
        self.minus = None
        if embeddings.position is None or embeddings.widen is not None:
            return
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
        if self.minus is None:
            summed: Tensor = self.inner(self.inner.sum(ids, types))
            return summed
        places = torch.arange(ids.shape[1], device=ids.device)[None]
        if self.types > 1 and types is not None:
            places = places * self.types + types
        x: Tensor = self.inner(self.inner.word(ids) - F.embedding(places, self.minus))
        return x


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
        self.embeddings = LeanEmbeddings(encoder.embeddings)
        self.positions = encoder.positions if model.config.relative_buckets else None
        self.distances = encoder.distances
        attentions = [layer.attention for layer in encoder.layers if layer.attention]
        last = attentions[-1] if attentions and reads_first_token(model) else None
        self.cut_at_once = reads_first_token(model) and not attentions
        self.layers = nn.ModuleList()
        norm = self.embeddings.last
        for layer in encoder.layers:
            attention = ffn = None
            if layer.attention:
                norm.bias += layer.attention.output.bias
                norm, is_last = layer.attention.norm, layer.attention is last
                attention = LeanAttention(
                    layer.attention, first_only=is_last, fused=None if is_last else fused
                )
            if layer.ffn:
                norm.bias += layer.ffn.down.bias
                norm, ffn = layer.ffn.norm, LeanFeedForward(layer.ffn)
            self.layers.append(LeanLayer(attention, ffn))

    def forward(self, ids: Tensor, types: Tensor | None, bias: Tensor, mask: Tensor) -> Tensor:
        """Return the last state, (B, T, d), or (B, 1, d) where the head reads no more.

        Args:
            ids, types, mask: (B, T); types may be ``None``.
            bias: (B, 1, 1, T), added to scores.
        """
        u: Tensor = self.embeddings(ids, types)
        u = u[:, :1] if self.cut_at_once else u
        biases = [bias] * len(self.layers)
        if self.positions is not None:
            found = zip(self.layers, self.positions(ids, bias), strict=True)
            biases = [own[:, :, :1] if layer.asks_once else own for layer, (own, _) in found]
        relative = None if self.distances is None else self.distances(u)
        for layer, own in zip(self.layers, biases, strict=True):
            u = layer(u, own, mask, relative)
        return u
