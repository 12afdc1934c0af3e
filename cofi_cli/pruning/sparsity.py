"""The size polynomial: one count for expectations, plans and compact models.

Prunable are the weights and biases of attention and FFN. Embeddings,
LayerNorm, pooler and task head are outside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cofi_cli.modeling import Masks
from cofi_cli.pruning.shape import GROUPS, EncoderShape

__all__ = ["GROUPS", "EncoderShape", "count_encoder", "count_prunable", "size", "sparsity"]


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
