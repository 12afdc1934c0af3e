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


RAMP_POWERS = {"linear": 1, "cubic": 3}
"""Powers of the time left in which a ramp misses its target: 1 / (power + 1) in the mean."""
_SHORT_RAMP = 24
"""Steps of a ramp under which it is linear: the first step of a cubic one would close too much."""


def ramp_power(ramp: str, *, ramp_steps: int) -> int:
    """Return the power for :func:`ramped_target` of a ramp of :data:`RAMP_POWERS`."""
    return RAMP_POWERS[ramp] if ramp_steps >= _SHORT_RAMP else 1


def ramped_target(step: int, *, start: int, ramp_steps: int, target: float, power: int) -> float:
    """Return t at a step: 0 before ``start``, then over the ramp up to the target.

    The first step of the ramp already closes some.

    Args:
        power: 1 for a linear ramp; 3 for one that closes most at its start, where much can be
            spared, and little at its end (Zhu and Gupta 2017, equation 1).
    """
    if step < start:
        return 0.0
    if ramp_steps <= 0:
        return target
    left = 1 - min(1.0, (step - start + 1) / ramp_steps)
    return target * (1 - left**power)
