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
from .disentangled import Distances, Relative, score_scale
from .dropout import dropout as drop
from .gather import gather, take
from .low_rank import word_table
from .masks import Masks
from .norms import layer_norm, masked_layer_norm, open_layer_norm, scaled
from .positions import Positions, Rotation, rotate
from .select import Hidden, index_of, rounded_up, units_of

SHORT = 256
"""Tokens up to which attention is spelled out for the backward pass of bf16 on a CPU."""


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Optional[Tensor],
    *,
    dropout: float,
    scale: float,
    eager: bool,
    weights: Optional[list[Tensor]] = None,
) -> Tensor:
    """Scaled dot-product attention.

    Args:
        q, k, v: (B, h, T, dh).
        bias: added to the scores, broadcasts to (B, h, T, T); ``None`` attends everywhere.
        dropout: probability of dropping an attention weight.
        scale: multiplies the products of q and k.
        eager: spell the operation out, for exporters.
        weights: gets the attention weights appended, (B, h, T, T), which spells it out as well.

    Returns:
        (B, h, T, dh).
    """
    # On a CPU torch is slow with dropout, and with short rows in the backward pass of bf16, 2 to 10
    # times as slow as the products that attention consists of. Those keep (B, h, T, T).
    is_bf16 = q.dtype == torch.bfloat16
    is_short = q.shape[2] <= SHORT
    is_slow = q.device.type == "cpu" and (dropout > 0 or (is_short and is_bf16 and q.requires_grad))
    if not eager and weights is None and not is_slow:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=dropout, scale=scale
        )
    scores = torch.matmul(q, k.transpose(-1, -2)) * scale
    if bias is not None:
        scores = scores + (bias.to(scores.dtype) if is_bf16 else bias)
    shares = drop(scores.softmax(dim=-1), dropout, dropout > 0)
    # A bias in fp32 makes the scores fp32, so a model in 16 bits needs them cast back.
    shares = shares if shares.dtype == v.dtype else shares.to(v.dtype)
    if weights is not None:
        weights.append(shares)
    return torch.matmul(shares, v)


class SubLayer(nn.Module):
    """Where LayerNorm and the hidden gates z stand around a sub-layer f, and the residual.

    Post-norm: LN(x + f(x)). Pre-norm: x + f(LN(x)), where the first LN may be absent.

    Masked, every LN is one over the kept dims times z. Post-norm, all that x consists of
    has just left such an LN. Pre-norm, the stream starts as the embeddings' LN, times z;
    what f adds, and embeddings without LN, are restricted to the kept dims but not scaled,
    for whatever reads the stream, the next LN or the last one, scales its reading by z. So
    in both placements z folds exactly into the γ and β of every LN, with nothing else to
    scale, and a dropped dim is zero all the way. A sub-layer that is off is an identity,
    without its LN.
    """

    norm: Optional[nn.LayerNorm]

    def __init__(self, config: CofiConfig, *, has_norm: bool = True) -> None:
        super().__init__()
        self.is_pre, self.dropout = config.pre_norm, config.hidden_dropout_prob
        self.norm = layer_norm(config, config.hidden_size) if has_norm else None

    def enter(self, x: Tensor) -> Tensor:
        """Return f's input; dense and compact states, (B, T, d)."""
        return self.norm(x) if self.is_pre and self.norm is not None else x

    def leave(self, x: Tensor, out: Tensor) -> Tensor:
        """Return the new stream; dense and compact states, (B, T, d)."""
        return x + out if self.is_pre or self.norm is None else self.norm(x + out)

    def masked_enter(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return f's input in the masked state; x is (B, T, d)."""
        if not self.is_pre or self.norm is None:
            return x
        return masked_layer_norm(x, self.norm, hidden)

    def masked_leave(self, x: Tensor, out: Tensor, hidden: Tensor) -> Tensor:
        """Return the new stream in the masked state, (B, T, d)."""
        if self.is_pre or self.norm is None:
            return x + out * (hidden > 0).to(out.dtype)
        return masked_layer_norm(x + out, self.norm, hidden)

    def open_enter(self, x: Tensor, hidden: Hidden) -> Tensor:
        """Return f's input where closed units are skipped; x is (B, T, d)."""
        return open_layer_norm(x, self.norm, hidden) if self.is_pre and self.norm else x

    def open_leave(self, x: Tensor, out: Tensor, hidden: Hidden) -> Tensor:
        """Return the new stream where closed units are skipped, (B, T, d)."""
        out = drop(out, self.dropout, self.training)
        if self.is_pre or self.norm is None:
            return x + hidden.restrict(out)
        return open_layer_norm(x + out, self.norm, hidden)


class Attention(SubLayer):
    """Attention sub-layer: f(x) = O · concat_h softmax(q_h k_hᵀ / √dh + bias) v_h.

    Disentangled, the bias is one by content and distance, and its terms count in the scale.
    """

    def __init__(self, config: CofiConfig, heads: int, *, has_norm: bool = True) -> None:
        super().__init__(config, has_norm=has_norm)
        width, has_bias = heads * config.head_dim, config.attention_bias
        self.heads, self.head_dim, self.scale = heads, config.head_dim, score_scale(config)
        self.attention_dropout = config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, width, bias=has_bias)
        self.key = nn.Linear(config.hidden_size, width, bias=has_bias)
        self.value = nn.Linear(config.hidden_size, width, bias=has_bias)
        self.output = nn.Linear(width, config.hidden_size, bias=has_bias)

    def _context(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        rotation: Optional[Rotation],
        relative: Optional[Relative],
        eager: bool,
        weights: Optional[list[Tensor]] = None,
    ) -> Tensor:
        """Return the heads' contexts, (B, h, T, dh), for f's input, (B, T, d)."""
        batch, length = x.shape[:2]
        shape = (batch, length, self.heads, self.head_dim)
        parts = (self.query, self.key, self.value)
        q, k, v = (part(x).view(shape).transpose(1, 2) for part in parts)
        q, k = rotate(q, rotation), rotate(k, rotation)
        if relative is not None:
            rows = drop(relative.rows, self.dropout, self.training)
            mask = relative.bias(q, k, (self.query(rows), self.key(rows)), mask, self.scale)
        dropout = self.attention_dropout if self.training else 0.0
        return attend(
            q, k, v, mask, dropout=dropout, scale=self.scale, eager=eager, weights=weights
        )

    def _join(self, context: Tensor) -> Tensor:
        batch, heads, length, dim = context.shape
        return context.transpose(1, 2).reshape(batch, length, heads * dim)

    def forward(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        eager: bool,
        rotation: Optional[Rotation] = None,
        relative: Optional[Relative] = None,
        weights: Optional[list[Tensor]] = None,
    ) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        context = self._context(self.enter(x), mask, rotation, relative, eager, weights)
        out = drop(self.output(self._join(context)), self.dropout, self.training)
        return self.leave(x, out)

    def masked(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        head: Tensor,
        layer: Tensor,
        hidden: Tensor,
        rotation: Optional[Rotation] = None,
        relative: Optional[Relative] = None,
    ) -> Tensor:
        """Masked state by definition: everything computed, then multiplied; x is (B, T, d)."""
        context = self._context(self.masked_enter(x, hidden), mask, rotation, relative, False)
        context = context * head.view(1, -1, 1, 1)
        out = drop(self.output(self._join(context)) * layer, self.dropout, self.training)
        is_off = (layer <= 0) | (head <= 0).all()
        return torch.where(is_off, x, self.masked_leave(x, out, hidden))

    def open(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        kept: list[int],
        head: Tensor,
        layer: Tensor,
        hidden: Hidden,
        rotation: Optional[Rotation] = None,
        relative: Optional[Relative] = None,
    ) -> Tensor:
        """Masked state, open heads only; x is (B, T, d), head holds all heads' gates, (H,)."""
        index = index_of(kept, self.heads, x.device)
        units = units_of(index, self.head_dim)
        if mask is not None and mask.shape[1] > 1:  # relative: a bias for each head
            mask = take(mask, index, 1)
        parts = (self.query, self.key, self.value)
        weight = gather(*[p.weight for p in parts], rows=units)
        biases = [take(p.bias, units, 0) for p in parts if p.bias is not None]
        bias = torch.cat(biases) if biases else None
        joint = F.linear(self.open_enter(x, hidden), weight, bias)
        batch, length = x.shape[:2]
        q, k, v = joint.view(batch, length, 3, len(kept), self.head_dim).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, rotation), rotate(k, rotation)
        if relative is not None:
            rows, width = drop(relative.rows, self.dropout, self.training), len(weight) // 3
            both = F.linear(rows, weight[: 2 * width], None if bias is None else bias[: 2 * width])
            mask = relative.bias(q, k, (both[:, :width], both[:, width:]), mask, self.scale)
        dropout = self.attention_dropout if self.training else 0.0
        context = self._join(attend(q, k, v, mask, dropout=dropout, scale=self.scale, eager=False))
        gates = take(head, index, 0).repeat_interleave(self.head_dim) * layer
        out_weight = gather(self.output.weight, columns=units, scale=gates)
        out = F.linear(context, out_weight, scaled(self.output.bias, layer))
        return self.open_leave(x, out, hidden)


class FeedForward(SubLayer):
    """FFN sub-layer: f(x) = W₂ · act(W₁x + b₁) + b₂, or W₂ · (act(W₁x + b₁) ⊙ (W₃x + b₃)) + b₂."""

    def __init__(self, config: CofiConfig, width: int) -> None:
        super().__init__(config)
        self.width, has_bias = width, config.ffn_bias
        self.up = nn.Linear(config.hidden_size, width, bias=has_bias)
        self.gate = (
            nn.Linear(config.hidden_size, width, bias=has_bias) if config.gated_ffn else None
        )
        self.down = nn.Linear(width, config.hidden_size, bias=has_bias)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        out = self.down(self._inner(self.enter(x)))
        return self.leave(x, drop(out, self.dropout, self.training))

    def _inner(self, x: Tensor) -> Tensor:
        """Return what W₂ reads, (B, T, width), for f's input, (B, T, d)."""
        y: Tensor = self.activation(self.up(x))
        return y if self.gate is None else y * self.gate(x)

    def masked(self, x: Tensor, dim: Tensor, layer: Tensor, hidden: Tensor) -> Tensor:
        """Masked state by definition; x is (B, T, d)."""
        out = self.down(self._inner(self.masked_enter(x, hidden)) * dim) * layer
        out = drop(out, self.dropout, self.training)
        is_off = (layer <= 0) | (dim <= 0).all()
        return torch.where(is_off, x, self.masked_leave(x, out, hidden))

    def open(
        self, x: Tensor, kept: list[int], dim: Tensor, layer: Tensor, hidden: Hidden
    ) -> Tensor:
        """Masked state, the dims in ``kept`` only; x is (B, T, d), dim holds all gates, (I,)."""
        index = index_of(kept, self.width, x.device)
        entering = self.open_enter(x, hidden)

        def project(linear: nn.Linear) -> Tensor:
            bias = None if linear.bias is None else take(linear.bias, index, 0)
            return F.linear(entering, gather(linear.weight, rows=index), bias)

        down = gather(self.down.weight, columns=index, scale=take(dim, index, 0) * layer)
        inner = self.activation(project(self.up))
        if self.gate is not None:
            inner = inner * project(self.gate)
        out = F.linear(inner, down, scaled(self.down.bias, layer))
        return self.open_leave(x, out, hidden)


class Layer(nn.Module):
    """One encoder layer; either sub-layer may be absent."""

    def __init__(self, config: CofiConfig, index: int) -> None:
        super().__init__()
        heads, width = config.layer_heads[index], config.layer_ffn[index]
        has_norm = index > 0 or config.first_norm
        self.attention = Attention(config, heads, has_norm=has_norm) if heads else None
        self.ffn = FeedForward(config, width) if width else None

    def forward(
        self,
        x: Tensor,
        mask: Optional[Tensor],
        eager: bool,
        rotation: Optional[Rotation] = None,
        relative: Optional[Relative] = None,
        weights: Optional[list[Tensor]] = None,
    ) -> Tensor:
        """Dense and compact states; x is (B, T, d)."""
        if self.attention is not None:
            asked = () if weights is None else (weights,)
            x = self.attention(x, mask, eager, rotation, relative, *asked)
        elif weights is not None:
            weights.append(x.new_zeros(x.shape[0], 0, x.shape[1], x.shape[1]))
        return x if self.ffn is None else self.ffn(x)


class WholeLayer(Layer):
    """What a dense encoder's layers are known to be: neither sub-layer absent."""

    attention: Attention
    ffn: FeedForward


class Embeddings(nn.Module):
    """Word, position and token-type embeddings, summed; normalised and projected if need be.

    Positions are counted from ``config.position_offset``. RoBERTa counts only tokens that
    are not padding; as padding stands on the right in all our batches, that is the same at
    every real position, and what stands at the others is never read.

    Hidden gates act where the stream begins: on LayerNorm's output or, where there is a
    projection, on the projection's output, with LayerNorm before it left whole. Where there
    is neither, they only drop dims. A projection that stands before LayerNorm, without bias,
    belongs to the sum.
    """

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        width, has_norm = config.embedding_size or config.hidden_size, config.embedding_norm
        rows, rank = config.vocab_size, config.embedding_rank
        self.word = word_table(rows, rank, width, config.pad_token_id)
        is_learned = config.position == "learned"
        self.position = nn.Embedding(config.max_position_embeddings, width) if is_learned else None
        types = config.type_vocab_size
        self.token_type = nn.Embedding(types, width) if types else None
        self.has_types = config.has_token_types
        hidden, is_first = config.hidden_size, config.project_first
        is_narrow = config.embedding_size is not None
        self.widen = nn.Linear(width, hidden, bias=False) if is_narrow and is_first else None
        self.norm = layer_norm(config, hidden if is_first else width) if has_norm else None
        self.project = nn.Linear(width, hidden) if is_narrow and not is_first else None
        self.offset, self.dropout = config.position_offset, config.hidden_dropout_prob

    def sum(
        self,
        input_ids: Tensor,
        token_type_ids: Optional[Tensor],
        words: Optional[Tensor] = None,
    ) -> Tensor:
        """Return the embeddings before LayerNorm, (B, T, e); (B, T, d) once widened.

        Args:
            input_ids, token_type_ids: (B, T) int.
            words: (B, T, e), in the place of what the table says of ``input_ids``.
        """
        x: Tensor = self.word(input_ids) if words is None else words
        if self.token_type is not None:
            if token_type_ids is None or not self.has_types:
                token_type_ids = torch.zeros_like(input_ids)
            x = x + self.token_type(token_type_ids)
        if self.position is not None:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device) + self.offset
            x = x + self.position(positions)[None]
        return x if self.widen is None else self.widen(x)

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout, self.training)

    def _normalised(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        """Turn sums, (B, T, e), into the stream, (B, T, d); dense and compact states."""
        x = self._drop(self._normalised(x))
        return x if self.project is None else self.project(x)

    def masked(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Masked state by definition; x is (B, T, e), the result (B, T, d)."""
        if self.project is not None:
            y: Tensor = self.project(self._drop(self._normalised(x))) * hidden
            return y
        if self.norm is None:
            return self._drop(x * (hidden > 0).to(x.dtype))
        return self._drop(masked_layer_norm(x, self.norm, hidden))

    def open(self, x: Tensor, hidden: Hidden) -> Tensor:
        """:meth:`masked` at the cost of a plain pass."""
        if self.project is None:
            own = self.norm
            x = hidden.restrict(x) if own is None else open_layer_norm(x, own, hidden)
            return self._drop(x)
        y: Tensor = self.project(self._drop(self._normalised(x))) * hidden.gate
        return y


Places = list[tuple[Optional[Tensor], Optional[Rotation]]]
"""What :class:`Positions` gives each layer."""


class Encoder(nn.Module):
    """Embeddings and layers; pre-norm, the last LayerNorm closes the last state."""

    gradient_checkpointing = False
    """Set by transformers, as is the function that checkpoints."""
    _gradient_checkpointing_func: Any

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        self.embeddings, self.positions = Embeddings(config), Positions(config)
        self.distances = Distances(config) if config.disentangled else None
        self.norm = layer_norm(config, config.hidden_size) if config.pre_norm else None
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
        words: Optional[Tensor] = None,
        weights: Optional[list[Tensor]] = None,
    ) -> list[Tensor]:
        """Run the encoder.

        Args:
            input_ids, token_type_ids: (B, T) int.
            bias: (B, 1, 1, T) added to attention scores, or ``None``.
            masks: gate values of a masked pass.
            skip_closed: leave out closed heads, FFN dims and sub-layers. Closed hidden dims
                are computed, for leaving out the few of them costs more than they do.
            eager: spell attention out, for exporters.
            words: (B, T, e), embedded words in the place of ``input_ids``.
            weights: gets each layer's attention weights appended, (B, h, T, T), h = 0 where
                the attention sub-layer is absent; not in a masked pass.

        Returns:
            The embeddings' and each layer's output, L + 1 tensors of (B, T, d).
            An absent sub-layer passes its input on, so equal neighbours may be one tensor.
        """
        # An exporter's modules in the place of ours take neither words nor weights.
        given = () if words is None else (words,)
        x = self.embeddings.sum(input_ids, token_type_ids, *given)
        places = self.positions(input_ids, bias)
        if masks is None:
            states = [self.embeddings(x)]
            relative = None if self.distances is None else self.distances(x)
            for layer, (own, rotation) in zip(self.layers, places):
                arguments = (states[-1], own, eager, rotation, relative, weights)
                states.append(self._run(layer, *arguments))
            if self.norm is not None:
                states[-1] = self.norm(states[-1])
            return states
        return (self._open if skip_closed else self._masked)(x, places, masks)

    def _run(self, layer: nn.Module, *arguments: Any) -> Tensor:
        """Return a layer's output.

        With gradient checkpointing its inner states are computed again for the backward pass.
        """
        if self.gradient_checkpointing and self.training:
            kept: Tensor = self._gradient_checkpointing_func(layer.__call__, *arguments)
            return kept
        out: Tensor = layer(*arguments)
        return out

    def _whole_layers(self) -> "list[WholeLayer]":
        return cast("list[WholeLayer]", list(self.layers))

    def _masked(self, x: Tensor, places: Places, masks: Masks) -> list[Tensor]:
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
        relative = None if self.distances is None else self.distances.masked(x, hidden)
        states = [self.embeddings.masked(x, hidden)]
        for i, (layer, (bias, rotation)) in enumerate(zip(self._whole_layers(), places)):
            x = states[-1]
            x = layer.attention.masked(x, bias, head[i], attention[i], hidden, rotation, relative)
            states.append(layer.ffn.masked(x, dim[i], ffn[i], hidden))
        if self.norm is not None:
            states[-1] = masked_layer_norm(states[-1], self.norm, hidden)
        return states

    def _open(self, x: Tensor, places: Places, masks: Masks) -> list[Tensor]:
        there = masks.to(x.device)
        hidden = Hidden.of(masks, there)
        relative = None if self.distances is None else self.distances.open(x, hidden)
        states = [self.embeddings.open(x, hidden)]
        for i, (layer, (bias, rotation)) in enumerate(zip(self._whole_layers(), places)):
            x = states[-1]
            heads, dims = masks.kept_heads(i), masks.kept_ffn(i)
            if heads:
                own = there.head[i], there.attention[i]
                x = layer.attention.open(x, bias, heads, *own, hidden, rotation, relative)
            if dims:
                dims = rounded_up(dims, layer.ffn.width)
                x = layer.ffn.open(x, dims, there.ffn_dim[i], there.ffn[i], hidden)
            states.append(x)
        if self.norm is not None:
            states[-1] = open_layer_norm(states[-1], self.norm, hidden)
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
        shift: Any = module.bias
        if shift is not None:
            shift.data.zero_()
