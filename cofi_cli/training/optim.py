"""Optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import AdamW, Optimizer


def weight_optimizer(modules: Iterable[nn.Module], *, weight_decay: float) -> Optimizer:
    """Return AdamW over trainable weights; biases and LayerNorm are not decayed.

    Its rate is set before each step (:func:`set_lr`).
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                (plain if parameter.ndim < 2 else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return AdamW([g for g in groups if g["params"]], fused=True)


def scalar_optimizer(parameters: Iterable[nn.Parameter], *, lr: float, ascend: bool) -> Optimizer:
    """Return AdamW without decay for gates, or ascending for multipliers."""
    return AdamW(list(parameters), lr=lr, weight_decay=0.0, maximize=ascend)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def linear_decay(step: int, total: int, *, warmup: int = 0) -> float:
    """Return the factor at a step (from 0): linear warm-up, then linear decay to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def clip_gradients(parameters: Iterable[torch.Tensor], bound: float) -> None:
    """Clip the joint norm; on a CPU, gradients within the bound are left alone.

    torch would multiply them by 1, a pass over all of them. On a GPU the comparison would
    cost more than the pass.
    """
    weights = list(parameters)
    grads = [p.grad for p in weights if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads, foreach=True)
    if norm.device.type != "cpu" or not norm.item() <= bound:
        torch.nn.utils.clip_grads_with_norm_(weights, bound, norm, foreach=True)
