"""The encoder in its three states: dense, masked and compact.

Dense and compact differ only in their configuration. A masked pass takes a
:class:`Masks` sample and computes either everything (``skip_closed=False``,
the definition) or only what is open (``skip_closed=True``, same values and
gradients at the open units' cost).
"""

from typing import Any, Optional, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from .configuration_cofi import CofiConfig
from .dropout import dropout as drop
from .gather import gather, take
from .masks import Masks
from .select import Select, index_of, rounded_up, units_of


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Optional[Tensor],
    *,
    dropout: float,
    head_dim: int,
    eager: bool,
) -> Tensor:
    """Scaled dot-product attention.

    Args:
        q, k, v: (B, h, T, dh).
        bias: (B, 1, 1, T), added to the scores; ``None`` attends everywhere.
        dropout: probability of dropping an attention weight.
        head_dim: dh as a plain number, so that a traced graph holds a constant.
        eager: spell the operation out, for exporters.

    Returns:
        (B, h, T, dh).
    """
    # With dropout torch spells attention out on a CPU too, with a slower dropout.
    if not eager and (dropout == 0.0 or q.device.type != "cpu"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    scores = torch.matmul(q, k.transpose(-1, -2)) * head_dim**-0.5
    if bias is not None:
        scores = scores + bias
    weights = drop(scores.softmax(dim=-1), dropout, dropout > 0)
    return torch.matmul(weights, v)


def masked_layer_norm(x: Tensor, norm: nn.LayerNorm, gate: Tensor) -> Tensor:
    """LayerNorm over the kept hidden dims only, times their gates.

    Args:
        x: (..., d). norm: its weight and bias, (d,). gate: (d,), 0 = dropped.

    Returns:
        (..., d), exactly 0 in the dropped dims.
    """
    kept = (gate > 0).to(x.dtype)
    count = kept.sum()
    centred = (x - (x * kept).sum(-1, keepdim=True) / count) * kept
    variance = centred.square().sum(-1, keepdim=True) / count
    return (centred * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias) * gate


class Attention(nn.Module):
    """Attention sub-layer: LN(x + O · concat_h softmax(q_h k_hᵀ / √dh) v_h)."""

    def __init__(self, config: CofiConfig, heads: int) -> None:
        super().__init__()
        width = heads * config.head_dim
        self.heads, self.head_dim = heads, config.head_dim
        self.dropout, self.attention_dropout = (
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
        )
        self.query = nn.Linear(config.hidden_size, width)
        self.key = nn.Linear(config.hidden_size, width)
        self.value = nn.Linear(config.hidden_size, width)
        self.output = nn.Linear(width, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def _context(
        self,
        x: Tensor,
        weight: list[Tensor],
        bias: list[Tensor],
        mask: Optional[Tensor],
        eager: bool,
    ) -> Tensor:
        """Return the heads' contexts, (B, h, T, dh), for q, k, v weights of (h·dh, d)."""
        batch, length = x.shape[:2]
        heads = weight[0].shape[0] // self.head_dim
        shape = (batch, length, heads, self.head_dim)
        q, k, v = (F.linear(x, w, b).view(shape).transpose(1, 2) for w, b in zip(weight, bias))
        dropout = self.attention_dropout if self.training else 0.0
        return attend(q, k, v, mask, dropout=dropout, head_dim=self.head_dim, eager=eager)

    def _join(self, context: Tensor) -> Tensor:
        batch, heads, length, dim = context.shape
        return context.transpose(1, 2).reshape(batch, length, heads * dim)

    def forward(self, x: Tensor, mask: Optional[Tensor], eager: bool) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        parts = (self.query, self.key, self.value)
        context = self._context(x, [p.weight for p in parts], [p.bias for p in parts], mask, eager)
        out = drop(self.output(self._join(context)), self.dropout, self.training)
        y: Tensor = self.norm(x + out)
        return y

    def masked(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        head: Tensor,
        layer: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        """Masked state by definition: everything computed, then multiplied; x is (B, T, d)."""
        parts = (self.query, self.key, self.value)
        context = self._context(x, [p.weight for p in parts], [p.bias for p in parts], mask, False)
        context = context * head.view(1, -1, 1, 1)
        out = drop(self.output(self._join(context)) * layer, self.dropout, self.training)
        is_off = (layer <= 0) | (head <= 0).all()
        return torch.where(is_off, x, masked_layer_norm(x + out, self.norm, hidden))

    def open(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        kept: list[int],
        head: Tensor,
        layer: Tensor,
        select: Select,
    ) -> Tensor:
        """Masked state, open units only; x is (B, T, k), head holds the open heads' gates."""
        units = units_of(kept, self.heads, self.head_dim, x.device)
        parts = (self.query, self.key, self.value)
        weight = gather(*[p.weight for p in parts], rows=units, columns=select.products)
        bias = torch.cat([take(p.bias, units, 0) for p in parts])
        joint = F.linear(select.enter(x), weight, bias)
        batch, length = x.shape[:2]
        q, k, v = joint.view(batch, length, 3, len(kept), self.head_dim).permute(2, 0, 3, 1, 4)
        dropout = self.attention_dropout if self.training else 0.0
        context = self._join(
            attend(q, k, v, mask, dropout=dropout, head_dim=self.head_dim, eager=False)
        )
        gates = head.repeat_interleave(self.head_dim) * layer
        out_weight = gather(self.output.weight, rows=select.products, columns=units, scale=gates)
        out = F.linear(context, out_weight, take(self.output.bias, select.products, 0) * layer)
        out = drop(select.leave(out), self.dropout, self.training)
        return open_layer_norm(x + out, self.norm, select)


class FeedForward(nn.Module):
    """FFN sub-layer: LN(x + W₂ · act(W₁x + b₁) + b₂)."""

    def __init__(self, config: CofiConfig, width: int) -> None:
        super().__init__()
        self.width, self.dropout = width, config.hidden_dropout_prob
        self.up = nn.Linear(config.hidden_size, width)
        self.down = nn.Linear(width, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        out = self.down(self.activation(self.up(x)))
        y: Tensor = self.norm(x + drop(out, self.dropout, self.training))
        return y

    def masked(self, x: Tensor, dim: Tensor, layer: Tensor, hidden: Tensor) -> Tensor:
        """Masked state by definition; x is (B, T, d)."""
        out = self.down(self.activation(self.up(x)) * dim) * layer
        out = drop(out, self.dropout, self.training)
        is_off = (layer <= 0) | (dim <= 0).all()
        return torch.where(is_off, x, masked_layer_norm(x + out, self.norm, hidden))

    def open(
        self, x: Tensor, kept: list[int], dim: Tensor, layer: Tensor, select: Select
    ) -> Tensor:
        """Masked state; x is (B, T, k), dim holds the gates of the dims in ``kept``."""
        index = index_of(kept, self.width, x.device)
        up = gather(self.up.weight, rows=index, columns=select.products)
        down = gather(self.down.weight, rows=select.products, columns=index, scale=dim * layer)
        inner = self.activation(F.linear(select.enter(x), up, take(self.up.bias, index, 0)))
        out = F.linear(inner, down, take(self.down.bias, select.products, 0) * layer)
        out = drop(select.leave(out), self.dropout, self.training)
        return open_layer_norm(x + out, self.norm, select)


def open_layer_norm(x: Tensor, norm: nn.LayerNorm, select: Select) -> Tensor:
    """LayerNorm of kept dims, (..., k), with the hidden gates folded into its γ and β."""
    gate = select.gate
    weight = take(norm.weight, select.hidden, 0) * gate
    return F.layer_norm(x, x.shape[-1:], weight, take(norm.bias, select.hidden, 0) * gate, norm.eps)


class Layer(nn.Module):
    """One encoder layer; either sub-layer may be absent."""

    def __init__(self, config: CofiConfig, index: int) -> None:
        super().__init__()
        heads, width = config.layer_heads[index], config.layer_ffn[index]
        self.attention = Attention(config, heads) if heads else None
        self.ffn = FeedForward(config, width) if width else None

    def forward(self, x: Tensor, mask: Optional[Tensor], eager: bool) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        if self.attention is not None:
            x = self.attention(x, mask, eager)
        return x if self.ffn is None else self.ffn(x)


class WholeLayer(Layer):
    """What a dense encoder's layers are known to be: neither sub-layer absent."""

    attention: Attention
    ffn: FeedForward


class Embeddings(nn.Module):
    """Word, position and token-type embeddings, summed and normalised.

    Where they are of another width than the encoder, a linear layer follows (ELECTRA).
    """

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        width = config.embedding_size or config.hidden_size
        self.word = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        types = config.type_vocab_size
        self.token_type = nn.Embedding(types, width) if types else None
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = (
            nn.Linear(width, config.hidden_size) if config.embedding_size is not None else None
        )
        self.offset, self.dropout = config.position_offset, config.hidden_dropout_prob

    def sum(self, input_ids: Tensor, token_type_ids: Optional[Tensor]) -> Tensor:
        """Return the embeddings before LayerNorm, (B, T, e).

        Positions count from the offset on whatever the ids are: a row's padding is on its
        right, so real tokens get the numbers that RoBERTa counts past padding.
        """
        positions = torch.arange(input_ids.shape[1], device=input_ids.device) + self.offset
        x: Tensor = self.word(input_ids)
        if self.token_type is not None:
            if token_type_ids is None or self.token_type.num_embeddings == 1:
                token_type_ids = torch.zeros_like(input_ids)
            x = x + self.token_type(token_type_ids)
        x = x + self.position(positions)[None]
        return x

    @property
    def closing(self) -> "nn.LayerNorm | nn.Linear":
        """The module whose weight and bias make the stream's hidden dims."""
        return self.norm if self.projection is None else self.projection

    def drop(self, x: Tensor) -> Tensor:
        """Apply the embedding dropout."""
        return drop(x, self.dropout, self.training)

    def forward(self, input_ids: Tensor, token_type_ids: Optional[Tensor]) -> Tensor:
        """Dense and compact states; returns (B, T, d)."""
        x = self.drop(self.norm(self.sum(input_ids, token_type_ids)))
        return x if self.projection is None else self.projection(x)

    def masked(self, input_ids: Tensor, token_type_ids: Optional[Tensor], hidden: Tensor) -> Tensor:
        """Masked state by definition; returns (B, T, d)."""
        x = self.sum(input_ids, token_type_ids)
        if self.projection is None:
            return self.drop(masked_layer_norm(x, self.norm, hidden))
        y: Tensor = self.projection(self.drop(self.norm(x))) * hidden
        return y

    def open(self, input_ids: Tensor, token_type_ids: Optional[Tensor], select: Select) -> Tensor:
        """Masked state, open hidden dims only; returns (B, T, k)."""
        x = self.sum(input_ids, token_type_ids)
        if self.projection is None:
            return self.drop(open_layer_norm(take(x, select.hidden, 2), self.norm, select))
        weight = take(self.projection.weight, select.hidden, 0) * select.gate[:, None]
        bias = take(self.projection.bias, select.hidden, 0) * select.gate
        return F.linear(self.drop(self.norm(x)), weight, bias)


class Encoder(nn.Module):
    """Embeddings and layers."""

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))

    def forward(
        self,
        input_ids: Tensor,
        bias: Optional[Tensor],
        token_type_ids: Optional[Tensor],
        *,
        masks: Optional[Masks] = None,
        skip_closed: bool = True,
        eager: bool = False,
    ) -> tuple[list[Tensor], Optional[Tensor]]:
        """Run the encoder.

        Args:
            input_ids, token_type_ids: (B, T) int.
            bias: (B, 1, 1, T) added to attention scores, or ``None``.
            masks: gate values of a masked pass.
            skip_closed: compute only what is open.
            eager: spell attention out, for exporters.

        Returns:
            The embeddings' and each layer's output, L + 1 tensors of (B, T, k),
            and the kept hidden dims, (k,), or ``None`` where k = d. An absent
            sub-layer passes its input on, so equal neighbours may be one tensor.
        """
        if masks is None:
            states = [self.embeddings(input_ids, token_type_ids)]
            for layer in self.layers:
                states.append(layer(states[-1], bias, eager))
            return states, None
        if skip_closed:
            select = Select.of(masks, input_ids.device)
            x = self.embeddings.open(input_ids, token_type_ids, select)
            return self._open(x, bias, masks, select), select.hidden
        hidden = masks.hidden.to(input_ids.device)
        x = self.embeddings.masked(input_ids, token_type_ids, hidden)
        return self._masked(x, bias, masks), None

    def _whole_layers(self) -> "list[WholeLayer]":
        return cast("list[WholeLayer]", list(self.layers))

    def _masked(self, x: Tensor, bias: Optional[Tensor], masks: Masks) -> list[Tensor]:
        head, attention, dim, ffn, hidden = (
            z.to(x.device)
            for z in (
                masks.head,
                masks.attention,
                masks.ffn_dim,
                masks.ffn,
                masks.hidden,
            )
        )
        states = [x]
        for i, layer in enumerate(self._whole_layers()):
            x = layer.attention.masked(states[-1], bias, head[i], attention[i], hidden)
            states.append(layer.ffn.masked(x, dim[i], ffn[i], hidden))
        return states

    def _open(
        self, x: Tensor, bias: Optional[Tensor], masks: Masks, select: Select
    ) -> list[Tensor]:
        states = [x]
        for i, layer in enumerate(self._whole_layers()):
            x = states[-1]
            heads, dims = masks.kept_heads(i), masks.kept_ffn(i)
            if heads:
                z, own = (
                    masks.head[i, heads].to(x.device),
                    masks.attention[i].to(x.device),
                )
                x = layer.attention.open(x, bias, heads, z, own, select)
            if dims:
                dims = rounded_up(dims, layer.ffn.width)
                z, own = masks.ffn_dim[i, dims].to(x.device), masks.ffn[i].to(x.device)
                x = layer.ffn.open(x, dims, z, own, select)
            states.append(x)
        return states


def init_weights(module: nn.Module, std: float = 0.02) -> None:
    """BERT's initialisation: N(0, std) weights, zero biases."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        module.weight.data.normal_(mean=0.0, std=std)
        bias: Any = getattr(module, "bias", None)
        if bias is not None:
            bias.data.zero_()
    elif isinstance(module, nn.LayerNorm):
        module.weight.data.fill_(1.0)
        module.bias.data.zero_()
