"""Dropout that is cheap on a CPU.

torch draws one random number an element there, on one thread; here one 64-bit
draw serves four elements, so the probability is a multiple of 2⁻¹⁶.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero each element with probability p and scale the rest by 1 / (1 - p)."""
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p, True)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    level = draws.view(torch.int16)[: x.numel()].view(x.shape)
    threshold = round(p * _LEVELS)
    keep = (level >= threshold - _LEVELS // 2).to(x.dtype)
    return x * (keep * (_LEVELS / (_LEVELS - threshold)))


def set_dropout(model: nn.Module, p: float) -> None:
    """Give all dropouts of a model one probability; its configuration keeps its own."""
    for module in model.modules():
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float | int):
                setattr(module, name, p)
