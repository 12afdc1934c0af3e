"""The size polynomial: one count for expectations, plans and compact models.

Prunable are the weights and biases of attention and FFN. Embeddings,
LayerNorm, pooler and task head are outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cofi_cli.modeling import CofiConfig, Masks

GROUPS = ("head", "attention", "ffn_dim", "ffn", "hidden")
"""The groups of gates (CoFi, section 2.1)."""


@dataclass(frozen=True)
class EncoderShape:
    """The dense shape: L layers of H heads of width dh, FFN width I, hidden width d.

    Attributes:
        ffn_matrices: m, matrices that an FFN dim has a row or column of; 3 where it is gated.
        attention_bias, ffn_bias: 1 where there are biases, otherwise 0.
    """

    n_layers: int
    n_heads: int
    head_dim: int
    ffn: int
    hidden: int
    ffn_matrices: int = 2
    attention_bias: int = 1
    ffn_bias: int = 1

    @classmethod
    def of(cls, config: CofiConfig) -> EncoderShape:
        """Read the shape of a dense model's configuration."""
        return cls(
            n_layers=config.num_hidden_layers,
            n_heads=max(config.layer_heads),
            head_dim=config.head_dim,
            ffn=max(config.layer_ffn),
            hidden=config.hidden_size,
            ffn_matrices=3 if config.gated_ffn else 2,
            attention_bias=int(config.attention_bias),
            ffn_bias=int(config.ffn_bias),
        )

    def per_head(self, hidden: Any) -> Any:
        """Return the weights of one head at this many kept hidden dims."""
        return self.head_dim * (4 * hidden + 3 * self.attention_bias)

    def per_dim(self, hidden: Any) -> Any:
        """Return the weights of one FFN dim at this many kept hidden dims."""
        return self.ffn_matrices * hidden + (self.ffn_matrices - 1) * self.ffn_bias

    @property
    def prunable(self) -> int:
        """M, the prunable weights of the dense model."""
        d, last_biases = self.hidden, self.attention_bias + self.ffn_bias
        units: int = self.n_heads * self.per_head(d) + self.ffn * self.per_dim(d)
        return self.n_layers * (units + last_biases * d)

    @property
    def max_sparsity(self) -> float:
        """Sparsity that leaves one sub-layer with one unit, at full hidden width."""
        return self.reachable(GROUPS)

    def reachable(self, groups: Iterable[str], multiple: int = 1) -> float:
        """Return the largest sparsity where only these groups of gates are learned.

        Hidden and FFN widths are multiples of ``multiple``, or whole.

        It leaves the smallest encoder that is one: what no gate can close, else the smallest
        sub-layer. The hidden width is full where heads and FFN dims bring the size down to
        that without it; otherwise one hidden dim is left.
        """
        own = set(groups)
        has_heads, has_dims = "head" in own, "ffn_dim" in own
        stays = (not own & {"head", "attention"}, not own & {"ffn_dim", "ffn"})
        needs_hidden = any(stays) or not (has_heads or has_dims)
        least_d, least_dims = min(multiple, self.hidden), min(multiple, self.ffn)
        d = least_d if "hidden" in own and needs_hidden else self.hidden
        heads, dims = 1 if has_heads else self.n_heads, least_dims if has_dims else self.ffn
        sizes = (
            heads * self.per_head(d) + self.attention_bias * d,
            dims * self.per_dim(d) + self.ffn_bias * d,
        )
        if any(stays):
            left = self.n_layers * sum(size for size, stay in zip(sizes, stays) if stay)
        else:
            left = min(sizes)
        return 1 - float(left) / self.prunable

    def as_dict(self) -> dict[str, int]:
        """Return plain numbers, for JSON."""
        return asdict(self)


def size(gates: Masks, shape: EncoderShape) -> Tensor:
    """Return the (expected) number of prunable weights, a scalar.

    With independent gates open with the given probabilities, K = Σ_k p_hid,k:

        E = Σ_l p_att,l · [Σ_h p_head,lh · (4·dh·K + 3·dh) + P(any head) · K]
          + Σ_l p_ffn,l · [Σ_i p_dim,li · (m·K + m - 1) + P(any dim) · K]

    (each term of a bias only where there are biases; m = 2, or 3 where the FFN is gated),
    which is CoFi's expected size (section 2.2) with the biases counted. With
    0 and 1 for probabilities it is the exact count of a compact model.

    Args:
        gates: probabilities in [0, 1], or 0 and 1; shapes as in :class:`Masks`.
        shape: the dense shape.
    """
    hidden = gates.hidden.sum()
    any_head = 1 - (1 - gates.head).prod(-1)
    any_dim = 1 - (1 - gates.ffn_dim).prod(-1)
    attention = gates.head.sum(-1) * shape.per_head(hidden)
    attention = attention + shape.attention_bias * any_head * hidden
    ffn = gates.ffn_dim.sum(-1) * shape.per_dim(hidden) + shape.ffn_bias * any_dim * hidden
    total: Tensor = (gates.attention * attention).sum() + (gates.ffn * ffn).sum()
    return total


def sparsity(gates: Masks, shape: EncoderShape) -> Tensor:
    """Return 1 - E/M, a scalar in [0, 1]."""
    return 1 - size(gates, shape) / shape.prunable


def count_prunable(model: torch.nn.Module) -> int:
    """Recount the prunable weights of a real model from its tensors."""
    parts = ("query", "key", "value", "output", "up", "gate", "down")
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.split(".")[-2] in parts and ".layers." in name
    )


def count_encoder(model: torch.nn.Module) -> int:
    """Count everything inside the encoder layers, LayerNorm included (as published)."""
    return sum(p.numel() for name, p in model.named_parameters() if ".layers." in name)
