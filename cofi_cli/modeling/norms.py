"""LayerNorm in three states: over all hidden dims, and over the open ones in two ways."""

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_cofi import CofiConfig
from .select import Hidden


def layer_norm(config: CofiConfig, width: int) -> nn.LayerNorm:
    """Return a LayerNorm of this encoder."""
    return nn.LayerNorm(width, eps=config.layer_norm_eps, bias=config.norm_bias)


def masked_layer_norm(x: Tensor, norm: nn.LayerNorm, gate: Tensor) -> Tensor:
    """LayerNorm over the kept hidden dims only, times their gates.

    Args:
        x: (..., d). norm: its weight and, if it has one, bias, (d,). gate: (d,), 0 = dropped.

    Returns:
        (..., d), exactly 0 in the dropped dims.
    """
    kept = (gate > 0).to(x.dtype)
    count = kept.sum()
    centred = (x - (x * kept).sum(-1, keepdim=True) / count) * kept
    variance = centred.square().sum(-1, keepdim=True) / count
    y = centred * torch.rsqrt(variance + norm.eps) * norm.weight
    # A norm without bias has None there, whatever the stub says.
    bias: Optional[Tensor] = norm.bias
    return (y if bias is None else y + bias) * gate


def open_layer_norm(x: Tensor, norm: nn.LayerNorm, hidden: Hidden) -> Tensor:
    """:func:`masked_layer_norm` at the cost of a plain one.

    With the mean of the kept dims in the place of the dropped ones, LayerNorm over all d
    finds that mean and k/d of the kept dims' variance: ε and γ make up for the factor.
    """
    share = hidden.count / x.shape[-1]
    weight, bias = norm.weight * (hidden.gate * share**0.5), scaled(norm.bias, hidden.gate)
    return F.layer_norm(hidden.levelled(x), x.shape[-1:], weight, bias, norm.eps * share)


def scaled(bias: Optional[Tensor], factor: Tensor) -> Optional[Tensor]:
    """Multiply a bias, where there is one."""
    return None if bias is None else bias * factor
