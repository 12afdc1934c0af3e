"""Selections of open units, and what their gradients cost.

An index names no unit twice, so a gradient is copied to its place instead of added there.
Weights go through selection, stacking, product with the gates and cast in one function:
autograd would keep and pass over a tensor for each, forward and back.
"""

from typing import Any, Optional

import torch
from torch import Tensor


def take(x: Tensor, index: Optional[Tensor], dim: int) -> Tensor:
    """Select distinct places along a dimension; all of it for ``None``."""
    if index is None:
        return x
    taken: Tensor = _Take.apply(x, index, dim)
    return taken


def put(part: Tensor, index: Optional[Tensor], dim: int, size: int) -> Tensor:
    """Undo :func:`take`: a dimension of ``size`` with zeros where nothing was selected."""
    if index is None:
        return part
    whole: Tensor = _Put.apply(part, index, dim, size)
    return whole


def _put(part: Tensor, index: Tensor, dim: int, size: int) -> Tensor:
    shape = [*part.shape]
    shape[dim] = size
    return part.new_zeros(shape).index_copy_(dim, index, part)


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.dim, ctx.size = dim, x.shape[dim]
        return x.index_select(dim, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        return _put(grad, ctx.saved_tensors[0], ctx.dim, ctx.size), None, None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, index: Tensor, dim: int, size: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.dim = dim
        return _put(part, index, dim, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        return grad.index_select(ctx.dim, ctx.saved_tensors[0]), None, None, None


def product_dtype(weight: Tensor) -> torch.dtype:
    """Return what a product with the weight is computed in."""
    device = weight.device.type
    is_cast = weight.dtype == torch.float32 and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if is_cast else weight.dtype


def gather(
    *weights: Tensor,
    rows: Optional[Tensor] = None,
    columns: Optional[Tensor] = None,
    scale: Optional[Tensor] = None,
) -> Tensor:
    """Return parts of weights of one shape, stacked, in the precision of a product.

    Args:
        weights: n of (a, b).
        rows: r of the a; ``None`` = all.
        columns: c of the b; ``None`` = all.
        scale: multiplies each column of a single weight, (c,).

    Returns:
        (n·r, c).
    """
    dtype = product_dtype(weights[0])
    if len(weights) == 1 and rows is columns is scale is None and dtype == weights[0].dtype:
        return weights[0]
    part: Tensor = _Gather.apply(dtype, rows, columns, scale, *weights)
    return part


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        dtype: torch.dtype,
        rows: Optional[Tensor],
        columns: Optional[Tensor],
        scale: Optional[Tensor],
        *weights: Tensor,
    ) -> Tensor:
        a, b = ctx.size = weights[0].shape
        a, b = (a if rows is None else rows.numel(), b if columns is None else columns.numel())
        out = weights[0].new_empty((len(weights), a, b), dtype=dtype)
        part = None
        for place, weight in zip(out, weights):
            part = take(take(weight, rows, 0), columns, 1)
            place.copy_(part if scale is None else part * scale)
        ctx.dtype, ctx.count = weights[0].dtype, len(weights)
        ctx.save_for_backward(rows, columns, scale, None if scale is None else part)
        return out.view(-1, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        rows, columns, scale, part = ctx.saved_tensors
        of_scale, found = None, []
        for piece in grad.view(ctx.count, -1, grad.shape[1]):
            piece = piece.to(ctx.dtype)
            if scale is not None:
                of_scale = (piece * part).sum(0)
                piece = piece * scale
            found.append(put(put(piece, columns, 1, ctx.size[1]), rows, 0, ctx.size[0]))
        return (None, None, None, of_scale, *found)
