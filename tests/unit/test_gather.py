"""Selections of open units against what autograd makes of plain indexing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cofi_cli.modeling.gather import gather, put, take

ROWS, COLUMNS = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5, 6, 0])


def leaves(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def gradients(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    factor = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view_as(value)
    return list(torch.autograd.grad((value * factor).sum(), inputs))


@pytest.mark.parametrize("rows", [None, ROWS])
@pytest.mark.parametrize("columns", [None, COLUMNS])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_gathers_as_indexing_does(
    rows: Tensor | None, columns: Tensor | None, is_scaled: bool
) -> None:
    wide = 7 if columns is None else 5
    weight, gates = leaves((6, 7), (wide,))
    plain = weight if rows is None else weight[rows]
    plain = plain if columns is None else plain[:, columns]
    expected = plain * gates if is_scaled else plain
    found = gather(weight, rows=rows, columns=columns, scale=gates if is_scaled else None)
    assert torch.equal(found, expected)
    inputs = [weight, gates] if is_scaled else [weight]
    for mine, other in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-12, rtol=1e-12)


def test_stacks_weights() -> None:
    parts = leaves((6, 7), (6, 7), (6, 7))
    found, expected = gather(*parts, rows=ROWS), torch.cat([part[ROWS] for part in parts])
    assert torch.equal(found, expected)
    for mine, other in zip(gradients(found, parts), gradients(expected, parts), strict=True):
        assert torch.equal(mine, other)


def test_casts_once_where_products_are_cast() -> None:
    weight = torch.randn(6, 7, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gather(weight, rows=ROWS)
    assert torch.equal(found, weight[ROWS].bfloat16())
    (grad,) = torch.autograd.grad(found.float().sum(), weight)
    assert grad.dtype == torch.float32 and grad.sum() == 3 * 7


def test_everything_is_the_weight_itself() -> None:
    weight = torch.randn(6, 7)
    assert gather(weight) is weight and take(weight, None, 0) is weight


@pytest.mark.parametrize("dim", [0, -1])
def test_take_and_put_undo_each_other(dim: int) -> None:
    (x,) = leaves((8, 8))
    taken = take(x, ROWS, dim)
    assert torch.equal(taken, x[ROWS] if dim == 0 else x[:, ROWS])
    (grad,) = torch.autograd.grad(taken.sum(), x)
    assert torch.equal(grad, put(torch.ones_like(taken), ROWS, dim, 8))
    (part,) = leaves((3, 3))
    wide = put(part, ROWS, dim, 8)
    assert torch.equal(take(wide, ROWS, dim), part) and wide.sum() == part.sum()
    mine, ones = gradients(wide, [part]), torch.zeros_like(wide, requires_grad=True)
    assert torch.equal(mine[0], take(gradients(ones * 1, [ones])[0], ROWS, dim))
