"""The constraint on a cost: L = λ₁·(r̂ - t) + λ₂·(r̂ - t)² (Wang et al. 2020, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Lagrangian(nn.Module):
    """The two multipliers; they ascend while everything else descends."""

    def __init__(self) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.zeros(()))
        self.lambda2 = nn.Parameter(torch.zeros(()))

    def forward(self, expected: Tensor, target: float) -> Tensor:
        """Return the penalty, a scalar.

        Args:
            expected: r̂, the expected reduction of the cost (sparsity, where it is counted in
                weights), a scalar with gradients to the gates.
            target: the reduction asked for at this step.
        """
        violation = expected - target
        return self.lambda1 * violation + self.lambda2 * violation.square()


def ramped_target(step: int, *, start: int, ramp_steps: int, target: float) -> float:
    """Return t at a step: 0 before ``start``, linear over the ramp, then the target.

    The first step of the ramp already asks for ``target / ramp_steps``.
    """
    if step < start:
        return 0.0
    if ramp_steps <= 0:
        return target
    return target * min(1.0, (step - start + 1) / ramp_steps)
