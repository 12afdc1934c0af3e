"""Learning rates of weights: by the encoder's width, and by how much of it is kept.

Adam moves every weight by about its rate at each step, so that the change of a sum of n inputs
grows with n. A rate that suits fine-tuning therefore falls with the width (Yang et al. 2022,
Tensor Programs V, table 3: 1/width), and a model of which little is kept stands, and needs, a
higher one: at the rate of the dense model the weights cannot follow the ramp (docs/log.md).
"""

from __future__ import annotations

WIDTH = 384
RATE = 1e-4
"""Rate that fine-tunes an encoder of :data:`WIDTH`; 5e-5 at 768, as BERT's authors advise."""


def base_rate(hidden: int) -> float:
    """Return the rate that fine-tunes a dense encoder of this hidden width."""
    return RATE * WIDTH / hidden


def growth_of(kept: float, exponent: float) -> float:
    """Return the factor of the rate where a share of the prunable weights is kept.

    Args:
        kept: in (0, 1].
        exponent: 0 leaves the rate alone; 1/2 quadruples it at a sixteenth.
    """
    return float(kept**-exponent)
