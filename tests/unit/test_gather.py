"""Selections of open units against what autograd makes of plain indexing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cofi_cli.modeling.gather import gather, take

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


def test_everything_is_the_weight_itself() -> None:
    weight = torch.randn(6, 7)
    assert gather(weight) is weight and take(weight, None, 0) is weight
