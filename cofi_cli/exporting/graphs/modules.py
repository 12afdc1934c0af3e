"""A model in a graph form, as what is traced.

A form replaces the attention sub-layers of a copy of the model by modules that trace to
what the form wants, for a GPU its embeddings too. Nothing else of a graph has to be told:
onnxruntime fuses LayerNormalization and Gelu with its bias by itself when it loads a file.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from cofi_cli.exporting.graphs.forms import LEAN, SKIP, Form
from cofi_cli.exporting.graphs.fused_embeddings import FusedEmbeddings
from cofi_cli.exporting.graphs.lean import LeanEncoder, reads_first_token
from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.disentangled import Relative
from cofi_cli.modeling.encoder import Attention, attend
from cofi_cli.modeling.positions import Rotation, rotate
from cofi_cli.runs.records import BY_LENGTH

NAN = float("nan")
BEYOND = 60000.0
"""Tokens that no model takes; fp16 holds it."""
MASKED = -1e9
"""What onnxruntime's Attention adds to the score of a padding position."""


class PackedAttention(nn.Module):
    """Attention with Q, K and V in one product, the scale folded into Q's weights."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.head_dim = attention.heads, attention.head_dim
        self.weight, self.bias = packed(attention)
        self.frame, self.output = attention, attention.output
        width = self.heads * self.head_dim
        with torch.no_grad():
            self.weight[:, :width] *= attention.scale
            self.bias[:width] *= attention.scale

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        eager: bool,
        rotation: Rotation | None = None,
        relative: Relative | None = None,
    ) -> Tensor:
        """Take x, (B, T, d), and mask, added to the scores, which broadcasts to (B, h, T, T)."""
        batch, length = x.shape[:2]
        width = self.heads * self.head_dim
        parts = torch.split(
            torch.matmul(self.frame.enter(x), self.weight) + self.bias, width, dim=-1
        )
        shape = (batch, length, self.heads, self.head_dim)
        q, k, v = (part.reshape(shape).transpose(1, 2) for part in parts)
        q, k = rotate(q, rotation), rotate(k, rotation)
        if relative is not None:
            weight, bias = self.weight[:, : 2 * width], self.bias[: 2 * width]
            both = torch.matmul(relative.rows, weight) + bias
            mask = relative.bias(q, k, (both[:, :width], both[:, width:]), mask, 1.0)
        context = attend(q, k, v, mask, dropout=0.0, scale=1.0, eager=True)
        joined = context.transpose(1, 2).reshape(batch, length, width)
        return self.frame.leave(x, self.output(joined))


class FusedAttention(nn.Module):
    """Attention as one operator of onnxruntime, without output projection and residual.

    Args:
        attention: its parameters are used, not changed.
        first_only: whether only the first token goes on.
    """

    def __init__(self, attention: Attention, *, first_only: bool = False) -> None:
        super().__init__()
        self.heads, self.first_only = attention.heads, first_only
        self.weight, self.bias = packed(attention)
        self.output, self.frame = attention.output, attention

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        eager: bool,
        rotation: Rotation | None = None,
        relative: Relative | None = None,
    ) -> Tensor:
        """Take x, (B, T, d), and mask, int32, and return (B, T or 1, d).

        mask is (B, T), 1 = attend, or (B,), the rows' lengths.
        """
        width = self.output.in_features
        apply: Any = _AttentionOperator.apply
        context: Tensor = apply(
            self.frame.enter(x), self.weight, self.bias, mask, self.heads, width
        )
        if self.first_only:
            x, context = x[:, :1], context[:, :1]
        return self.frame.leave(x, self.output(context))


class _AttentionOperator(torch.autograd.Function):
    """Stands for com.microsoft.Attention while tracing; computes nothing."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, heads: int, width: int
    ) -> Tensor:
        """Return zeros of the result's shape, (B, T, h·dh); width is h·dh."""
        return x.new_zeros(x.shape[0], x.shape[1], width)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, mask: Any, heads: int, width: int) -> Any:
        """Return the node."""
        node = g.op(
            "com.microsoft::Attention",
            x,
            weight,
            bias,
            mask,
            num_heads_i=heads,
            mask_filter_value_f=MASKED,
        )
        node.setType(x.type().with_sizes([None, None, width]))
        return node


def packed(attention: Attention) -> tuple[nn.Parameter, nn.Parameter]:
    """Return the weights of Q, K and V side by side, (d, 3·h·dh), and their biases, (3·h·dh,)."""
    parts = (attention.query, attention.key, attention.value)
    weight = torch.cat([part.weight for part in parts]).t().contiguous()
    biases: list[Tensor] = [part.bias for part in parts if part.bias is not None]
    bias = torch.cat(biases) if biases else weight.new_zeros(weight.shape[1])
    return nn.Parameter(weight), nn.Parameter(bias)


class Traced(nn.Module):
    """A model in a form, as a function of (ids, mask, types), each (B, T), to its answers.

    A row of several sequences is (B, C, T).
    """

    def __init__(self, model: CofiForTask, form: Form, *, on_gpu: bool = False) -> None:
        super().__init__()
        self.inner, self.is_fused = copy.deepcopy(model), not form.is_portable
        self.lean: LeanEncoder | None = None
        if form.name in LEAN:
            self.lean = LeanEncoder(model, _AttentionOperator.apply if self.is_fused else None)
        elif form.name != "plain":
            self._replace_attention(cuts=form.name in SKIP and reads_first_token(model))
        self.by_length = form.name == BY_LENGTH
        is_guarded = (on_gpu or form.name in SKIP) and model.config.position == "learned"
        self.longest = model.config.longest_input if is_guarded else None
        encoder: Any = self.inner.model.encoder
        if form.name in SKIP and FusedEmbeddings.fits(encoder.embeddings):
            encoder.embeddings = FusedEmbeddings(encoder.embeddings)

    @property
    def has_own_operators(self) -> bool:
        """Whether any of onnxruntime's operators is traced."""
        kinds = (FusedAttention, FusedEmbeddings)
        return any(isinstance(m, kinds) or getattr(m, "fused", None) for m in self.modules())

    def _replace_attention(self, *, cuts: bool) -> None:
        """Write each attention as packed or fused; the last one ``cuts`` to the first token."""
        layers: Any = [layer for layer in self.inner.model.encoder.layers if layer.attention]
        for layer in layers:
            own = layer.attention
            layer.attention = (
                FusedAttention(own, first_only=cuts and layer is layers[-1])
                if self.is_fused
                else PackedAttention(own)
            )

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the outputs that the model's ``output_names`` name."""
        if self.inner.has_parts:
            own = None if types is None else types.flatten(0, 1)
            given = self._sequences(ids.flatten(0, 1), mask.flatten(0, 1), own)
            return tuple(answer.view(ids.shape[:2]) for answer in given)
        return self._sequences(ids, mask, types)

    def _sequences(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> tuple[Tensor, ...]:
        """Return the outputs of rows of tokens, each input (B, T)."""
        bare = self.inner.model
        if self.lean is not None:
            bias: Any = bare._bias(mask, torch.float32)
            last = self.lean(ids, types, bias, mask.to(torch.int32))
        elif self.is_fused:
            own = mask.sum(1) if self.by_length else mask
            last = bare.encoder(ids, own.to(torch.int32), types, eager=True)[-1]
        else:
            last = bare.states(ids, mask, types)[-1]
        return self._guarded(self.inner.outputs_of(last, self.inner.head(last, mask)), mask)

    def _guarded(self, given: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
        """Make NaN what would be wrong, silently: kernels of a GPU look at no bounds.

        A mask, (B, T), counts its tokens, and one over all bounds where it is 1 again after a 0.
        """
        if self.longest is None and not self.by_length:
            return given
        bound = float("inf") if self.longest is None else float(self.longest)
        if self.by_length:
            rises, far = mask[:, 1:] > mask[:, :-1], torch.tensor(BEYOND)
            counted, bound = torch.where(rises, far, torch.tensor(1.0)), min(bound - 1, BEYOND / 2)
        else:
            counted = (mask >= 0).to(torch.float32)
        is_wrong = counted.sum(1, keepdim=True) > bound
        return tuple(
            torch.where(is_wrong if answer.dim() == 2 else is_wrong[:, None], NAN, answer)
            for answer in given
        )
