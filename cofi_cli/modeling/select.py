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


def take(weight: Tensor, index: Optional[Tensor], dim: int) -> Tensor:
    """Select along a dimension; all of it for ``None``."""
    return weight if index is None else weight.index_select(dim, index)


def index_of(kept: list[int], size: int, device: torch.device) -> Optional[Tensor]:
    """Return what :func:`take` needs for the kept units."""
    return None if len(kept) == size else torch.tensor(kept, device=device)


@dataclass(frozen=True)
class Select:
    """The hidden dims of one masked pass, on the encoder's device.

    The residual stream holds the k open dims, (B, T, k), over which LayerNorm runs. The
    products run over m ≥ k dims, with zeros where these are closed.

    Attributes:
        hidden: the open dims, (k,); ``None`` = all d.
        gate: their gates, (k,).
        products: the dims of the products, (m,); ``None`` = all d.
        inside: where the open dims lie among these, (k,); ``None`` = they are the same.
    """

    hidden: Optional[Tensor]
    gate: Tensor
    products: Optional[Tensor]
    inside: Optional[Tensor]
    width: int

    @classmethod
    def of(cls, masks: Masks, device: torch.device) -> "Select":
        """Read the hidden gates of a sample."""
        kept, size = masks.kept_hidden(), masks.hidden.numel()
        units = rounded_up(kept, size)
        inside = None
        if len(units) != len(kept):
            inside = torch.searchsorted(torch.tensor(units), torch.tensor(kept)).to(device)
        gate = masks.hidden[torch.tensor(kept, dtype=torch.long)].to(device)
        hidden, products = index_of(kept, size, device), index_of(units, size, device)
        return cls(hidden, gate, products, inside, len(units))

    def enter(self, x: Tensor) -> Tensor:
        """Turn the stream into the input of a product, (B, T, m)."""
        return x if self.inside is None else spread(x, self.inside, self.width)

    def leave(self, out: Tensor) -> Tensor:
        """Turn the output of a product, (B, T, m), into what the stream takes."""
        return take(out, self.inside, -1)


def spread(x: Tensor, index: Tensor, width: int) -> Tensor:
    """Put (..., k) into the places ``index`` of zeros, (..., width)."""
    return x.new_zeros((*x.shape[:-1], width)).index_copy(-1, index, x)
