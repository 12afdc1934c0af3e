"""Parts of weights and activations: what belongs to the open units."""

from typing import Optional

import torch
from torch import Tensor


def take(x: Tensor, index: Optional[Tensor], dim: int) -> Tensor:
    """Select places along a dimension; all of it for ``None``."""
    return x if index is None else x.index_select(dim, index)


def gather(
    *weights: Tensor,
    rows: Optional[Tensor] = None,
    columns: Optional[Tensor] = None,
    scale: Optional[Tensor] = None,
) -> Tensor:
    """Return parts of weights of one shape, stacked.

    Args:
        weights: n of (a, b).
        rows: r of the a; ``None`` = all.
        columns: c of the b; ``None`` = all.
        scale: multiplies each column, (c,).

    Returns:
        (n·r, c).
    """
    parts = [take(take(weight, rows, 0), columns, 1) for weight in weights]
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole if scale is None else whole * scale
