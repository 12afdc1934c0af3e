"""What a target is stated in: one protocol, whether it counts weights or seconds."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
import torch

from cofi_cli.modeling import Masks
from cofi_cli.pruning.cost import ParameterCost, reachable, reduction
from cofi_cli.pruning.plan import everything
from cofi_cli.pruning.shape import GROUPS, EncoderShape, Widths
from cofi_cli.pruning.sparsity import size
from tests.tiny import SHAPE

GATED = EncoderShape(
    n_layers=3, n_heads=4, head_dim=4, ffn=24, hidden=16, ffn_matrices=3, attention_bias=0
)


def random_widths(shape: EncoderShape, seed: int) -> Widths:
    """Return any widths, closed sub-layers among them."""
    draw = random.Random(seed)
    return Widths(
        tuple(draw.randint(0, shape.n_heads) for _ in range(shape.n_layers)),
        tuple(draw.choice((0, draw.randint(1, shape.ffn))) for _ in range(shape.n_layers)),
        draw.randint(1, shape.hidden),
    )


def open_gates(shape: EncoderShape, widths: Widths) -> Masks:
    """Return probabilities of 0 and 1 that stand for these widths, in float64."""

    def first(counts: tuple[int, ...], n: int) -> torch.Tensor:
        return (torch.arange(n)[None, :] < torch.tensor(counts)[:, None]).double()

    return Masks(
        head=first(widths.heads, shape.n_heads),
        attention=torch.ones(shape.n_layers, dtype=torch.float64),
        ffn_dim=first(widths.ffn, shape.ffn),
        ffn=torch.ones(shape.n_layers, dtype=torch.float64),
        hidden=first((widths.hidden,), shape.hidden)[0],
    )


@pytest.mark.parametrize("shape", [SHAPE, GATED], ids=["plain", "gated"])
@pytest.mark.parametrize("seed", range(10))
def test_weights_of_widths_are_the_polynomial_at_zero_and_one(
    shape: EncoderShape, seed: int
) -> None:
    cost, widths = ParameterCost(shape), random_widths(shape, seed)
    gates = open_gates(shape, widths)
    assert cost.exact(widths) == size(gates, shape).item() == cost.expected(gates).item()
    parts = zip(widths.heads, widths.ffn)
    assert cost.exact(widths) == sum(
        cost.sub_layer("head", h, widths.hidden) + cost.sub_layer("ffn_dim", w, widths.hidden)
        for h, w in parts
    )


def test_a_reduction_of_weights_is_sparsity() -> None:
    cost, plan = ParameterCost(SHAPE), everything(SHAPE)
    half = plan.model_copy(update={"ffn": [[0, 3], [], list(range(24))], "heads": [[1], [], [0]]})
    assert reduction(cost, plan.widths) == plan.sparsity == 0.0
    assert reduction(cost, half.widths) == half.sparsity
    assert half.widths == Widths((1, 0, 1), (2, 0, 24), 16)


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("shape", [SHAPE, GATED], ids=["plain", "gated"])
def test_the_range_of_weights_is_the_shapes(shape: EncoderShape, multiple: int) -> None:
    for n in range(1, 6):
        for groups in combinations(GROUPS, n):
            found = reachable(ParameterCost(shape), groups, multiple)
            assert found == shape.reachable(groups, multiple)
