"""The hard concrete distribution (Louizos, Welling, Kingma 2018, section 4).

A gate z in [0, 1] has point masses at 0 and 1 and a density between. Symbols:
α the gate's log-alpha, β the temperature, (γ, ζ) the stretch, u uniform noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GAMMA, ZETA = -0.1, 1.1
"""Stretch of the binary concrete; Louizos et al. 2018, section 4."""
BETA = 2 / 3
"""Temperature; Louizos et al. 2018, section 4."""
NOISE_EPS = 1e-6
"""Noise is drawn from U(ε, 1 - ε), as in the CoFi reference."""
ALPHA_MAX = math.log(100.0)
"""Upper bound of α after every optimiser step, as in the CoFi reference."""
REFERENCE_FLOOR = -ALPHA_MAX
"""Lower bound of α in the CoFi reference: a closed gate opens in 4.7 % of the samples."""
FLOOR = -8.0
"""Our lower bound, 0.17 %: closed gates then take next to nothing of the expected size."""
OPEN_SHIFT = -BETA * math.log(-GAMMA / ZETA)
"""q(α) = σ(α + OPEN_SHIFT); about 1.5986."""
TO_CLOSE = ALPHA_MAX + OPEN_SHIFT
"""How far α falls from open, at its upper bound, to q = 1/2; about 6.2."""
SOFT_SLOPE = 1.2
"""Evaluation value σ(1.2·α) of a kept soft gate, as in the CoFi reference."""


def sample(log_alpha: Tensor, noise: Tensor) -> Tensor:
    """Return z for u in (0, 1) of the same shape; differentiable in α where 0 < z < 1."""
    concrete = torch.sigmoid((torch.log(noise) - torch.log1p(-noise) + log_alpha) / BETA)
    return (concrete * (ZETA - GAMMA) + GAMMA).clamp(0.0, 1.0)


def p_open(log_alpha: Tensor) -> Tensor:
    """Return q(α) = P(z > 0) (Louizos et al. 2018, equation 12)."""
    return torch.sigmoid(log_alpha + OPEN_SHIFT)


def soft_value(log_alpha: Tensor) -> Tensor:
    """Return the evaluation value of a kept gate, σ(1.2·α), as in the CoFi reference."""
    return torch.sigmoid(SOFT_SLOPE * log_alpha)


def draw_noise(size: int, generator: torch.Generator) -> Tensor:
    """Return u ~ U(ε, 1 - ε), (size,), on the CPU."""
    return torch.rand(size, generator=generator) * (1 - 2 * NOISE_EPS) + NOISE_EPS
