"""How many units a budget allows, and widths that are multiples of a number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def nearest_width(count: int, size: int, multiple: int) -> int:
    """Return the multiple nearest to ``count``, at least one of them, at most ``size``."""
    return min(size, max(multiple, round(count / multiple) * multiple))


def top(alpha: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest entries, (n,) bool; equal ones by their place."""
    kept = torch.zeros_like(alpha, dtype=torch.bool)
    kept[torch.sort(alpha, descending=True, stable=True).indices[:count]] = True
    return kept


def keep_most(
    fine: Tensor, live: Tensor, alpha: Tensor, *, cost: Callable[[], float], budget: float
) -> None:
    """Keep as many units as the budget allows, in place, by one bisection over their order.

    Args:
        fine: (L, n) bool, kept units.
        live: (L, n) bool, the units that this is about; the others stay as they are.
        alpha: (L, n) log-alphas.
        cost: of the plan as it stands.
        budget: the most that ``cost`` may say.
    """
    # Kept before removed at equal α, so that a fit that is met changes nothing.
    order = torch.argsort((alpha + fine.float() * 1e-3)[live], descending=True, stable=True)
    n_live, was = order.numel(), fine.clone()
    low, high = 0, n_live

    def keep(count: int) -> float:
        flags = torch.zeros(n_live, dtype=torch.bool)
        flags[order[:count]] = True
        fine[live] = flags
        return cost()

    if cost() <= budget and bool(was[live].all()):
        return
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if keep(middle) <= budget else (low, middle - 1)
    keep(low)


def round_ffn(
    dim: Tensor,
    ffn: Tensor,
    alpha: Tensor,
    *,
    multiple: int,
    cost: Callable[[], float],
    budget: float | None,
) -> None:
    """Round the FFN width of every layer, in place.

    Under a budget widths are rounded down first, never below one multiple; then layers get
    blocks back, the one whose next block has the largest mean α first, while they fit.
    A layer whose single block is too much is closed.

    Args:
        dim: (L, I) bool, open dims.
        ffn: (L,) bool, open FFN sub-layers.
        alpha: (L, I) log-alphas.
        multiple: of the widths.
        cost: of the plan as it stands.
        budget: the most that ``cost`` may say; ``None`` rounds to the nearest.
    """
    full = dim.shape[1]
    order = torch.sort(alpha, dim=1, descending=True, stable=True)
    widths: dict[int, int] = {}

    def resize(layer: int, width: int) -> None:
        widths[layer] = width
        dim[layer] = top(alpha[layer], width)

    for layer in ffn.nonzero().flatten().tolist():
        count = int(dim[layer].sum())
        if budget is None:
            resize(layer, nearest_width(count, full, multiple))
        elif count < full:
            resize(layer, max(multiple, count // multiple * multiple))
        else:
            resize(layer, full)
    if budget is None:
        return
    weakest = sorted(widths, key=lambda layer: float(order.values[layer, : widths[layer]].mean()))
    for layer in weakest:
        if cost() <= budget:
            break
        resize(layer, 0)
        ffn[layer] = False
    is_open = {layer for layer in widths if bool(ffn[layer])}
    while is_open:
        gains = {
            layer: float(order.values[layer, widths[layer] : widths[layer] + multiple].mean())
            for layer in is_open
            if widths[layer] < full
        }
        if not gains:
            break
        layer = max(gains, key=lambda layer: gains[layer])
        before = widths[layer]
        resize(layer, min(full, before + multiple))
        if cost() > budget:
            resize(layer, before)
            is_open.discard(layer)
