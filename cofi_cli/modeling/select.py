"""Which units a masked pass computes: the open ones, rounded up to widths that recur."""

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from .masks import Masks

FINEST = 16
"""Widths are multiples of this, the vector registers' width, or of more."""


def rounded_up(kept: list[int], size: int) -> list[int]:
    """Add closed units, the lowest first, until the count is round; at most an eighth more.

    A matrix product is compiled for its shape on first use, which takes about as long
    as the product itself, and an odd width runs slower. Each sample has other counts, so
    without rounding nearly each product of a step would pay. A closed unit among the
    computed ones is multiplied by its gate, 0, so values and gradients stay.
    """
    count = len(kept)
    step = max(FINEST, 1 << (count.bit_length() - 4) if count > 15 else 1)
    target = min(size, -(-count // step) * step)
    if target == count:
        return kept
    is_open = torch.zeros(size, dtype=torch.bool)
    is_open[kept] = True
    is_open[(~is_open).nonzero().flatten()[: target - count]] = True
    units: list[int] = is_open.nonzero().flatten().tolist()
    return units


def index_of(kept: list[int], size: int, device: torch.device) -> Optional[Tensor]:
    """Return what :func:`take` needs for the kept units."""
    # Not built on the device, which would wait there for all that is under way.
    return None if len(kept) == size else torch.tensor(kept).to(device, non_blocking=True)


def units_of(heads: Optional[Tensor], width: int) -> Optional[Tensor]:
    """Return the rows of q, k and v that belong to the kept heads; ``None`` = all."""
    if heads is None:
        return None
    return (heads[:, None] * width + torch.arange(width, device=heads.device)).flatten()


@dataclass(frozen=True)
class Hidden:
    """The hidden dims of one masked pass, on the encoder's device.

    Attributes:
        gate: their gates, (d,).
        is_open: which of them are above 0, (d,); ``None`` = all.
        count: how many are.
    """

    gate: Tensor
    is_open: Optional[Tensor]
    count: int

    @classmethod
    def of(cls, masks: Masks, there: Masks) -> "Hidden":
        """Read the hidden gates of a sample, and of the same on the encoder's device."""
        count = int((masks.hidden > 0).sum())
        whole = count == masks.hidden.numel()
        return cls(there.hidden, None if whole else there.hidden > 0, count)

    def restrict(self, x: Tensor) -> Tensor:
        """Return x, (..., d), with 0 in the closed dims."""
        return x if self.is_open is None else x * self.is_open.to(x.dtype)

    def levelled(self, x: Tensor) -> Tensor:
        """Return x, (..., d), with the open dims' mean in the closed ones."""
        if self.is_open is None:
            return x
        x = self.restrict(x)
        mean = x.sum(-1, keepdim=True) / self.count
        return torch.addcmul(x, mean, (~self.is_open).to(x.dtype))
