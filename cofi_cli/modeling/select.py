"""Which units a masked pass computes: the open ones, rounded up to widths that recur."""

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

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
    return None if len(kept) == size else torch.tensor(kept, device=device)


def units_of(heads: list[int], size: int, width: int, device: torch.device) -> Optional[Tensor]:
    """Return the rows of q, k and v that belong to the kept heads; ``None`` = all."""
    index = index_of(heads, size, device)
    if index is None:
        return None
    return (index[:, None] * width + torch.arange(width, device=device)).flatten()


@dataclass(frozen=True)
class Select:
    """The hidden dims of one masked pass, on the encoder's device.

    The residual stream holds the k open dims, (B, T, k), over which LayerNorm runs. The
    products run over m ≥ k dims, the open ones first: then the stream is padded and cut,
    and only weights, which are fewer than activations once pruned, are put in order.

    Attributes:
        hidden: the open dims, (k,); ``None`` = all d.
        gate: their gates, (k,).
        products: the dims of the products, (m,), the open ones first; ``None`` = all d.
        count, width: k and m.
    """

    hidden: Optional[Tensor]
    gate: Tensor
    products: Optional[Tensor]
    count: int
    width: int

    @classmethod
    def of(cls, masks: Masks, device: torch.device) -> "Select":
        """Read the hidden gates of a sample."""
        kept, size = masks.kept_hidden(), masks.hidden.numel()
        is_open = set(kept)
        units = kept + [unit for unit in rounded_up(kept, size) if unit not in is_open]
        gate = masks.hidden[torch.tensor(kept, dtype=torch.long)].to(device)
        hidden = index_of(kept, size, device)
        products = None if hidden is None else torch.tensor(units, device=device)
        return cls(hidden, gate, products, len(kept), len(units))

    def enter(self, x: Tensor) -> Tensor:
        """Turn the stream into the input of a product, (B, T, m)."""
        return F.pad(x, (0, self.width - self.count)) if self.count < self.width else x

    def leave(self, out: Tensor) -> Tensor:
        """Turn the output of a product, (B, T, m), into what the stream takes."""
        return out[..., : self.count]
