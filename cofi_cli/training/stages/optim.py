"""Optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, SparseAdam

_LARGE = 4096
"""Rows from which an embedding is updated only where a batch reads it."""


class WeightOptimizer:
    """AdamW over trainable weights; biases and LayerNorm are not decayed.

    Of large embeddings only the rows that a batch reads are updated (lazy Adam, without decay):
    a step over the whole table would take longer than the rest of a pruned model's.

    Args:
        modules: whose weights are trained.
        weight_decay: of matrices.
    """

    def __init__(self, modules: Iterable[nn.Module], *, weight_decay: float) -> None:
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        tables: list[nn.Parameter] = []
        for whole in modules:
            large = {id(table.weight) for table in _large_embeddings(whole)}
            for parameter in whole.parameters():
                if parameter.requires_grad and id(parameter) in large:
                    tables.append(parameter)
                elif parameter.requires_grad:
                    (plain if parameter.ndim < 2 else decayed).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizers: list[Optimizer] = []
        if decayed or plain:
            self.optimizers.append(AdamW([g for g in groups if g["params"]], fused=True))
        if tables:
            self.optimizers.append(SparseAdam(tables))
        self.weights: list[Tensor] = [*decayed, *plain, *tables]

    def step(
        self,
        loss: Tensor,
        *,
        rate: float,
        clip: float,
        after_backward: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a step down the gradient of a loss.

        Args:
            loss: a scalar; gradients of what else it depends on are added to, not cleared.
            rate: of all weights.
            clip: bound of the gradients' joint norm.
            after_backward: called before gradients are clipped: with several processes they
                are summed then.
        """
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            set_lr(optimizer, rate)
        loss.backward()
        after_backward()
        clip_gradients(self.weights, clip)
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the resumable part."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Continue from :meth:`state_dict`."""
        for optimizer, saved in zip(self.optimizers, state, strict=True):
            optimizer.load_state_dict(dict(saved))


def _large_embeddings(module: nn.Module) -> list[nn.Embedding]:
    """Return the trainable embeddings of many rows, which give sparse gradients from now on."""
    tables = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    large = [t for t in tables if t.num_embeddings >= _LARGE and t.weight.requires_grad]
    for table in large:
        table.sparse = True
    return large


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


def clip_gradients(weights: Iterable[Tensor], bound: float) -> None:
    """Clip the joint norm; on a CPU, gradients within the bound are left alone.

    torch would multiply them by 1, a pass over all of them. On a GPU the comparison would
    cost more than the pass.
    """
    grads = []
    for weight in weights:
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
            grads.append(weight.grad.values())
        elif weight.grad is not None:
            grads.append(weight.grad)
    norm = torch.nn.utils.get_total_norm(grads, foreach=True)
    if norm.device.type != "cpu" or not norm.item() <= bound:
        factor = torch.clamp(bound / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(grads, factor)
