"""What holds for any widths, gates and targets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.lagrangian import ramped_target
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.pruning.sparsity import count_prunable
from cofi_cli.tolerances import COMPACT
from tests.samples import sample
from tests.tiny import batch

SHAPES = st.builds(
    EncoderShape,
    n_layers=st.integers(1, 4),
    n_heads=st.integers(1, 4),
    head_dim=st.integers(1, 6),
    ffn=st.integers(1, 20),
    hidden=st.just(0),
).map(lambda s: EncoderShape(s.n_layers, s.n_heads, s.head_dim, s.ffn, s.n_heads * s.head_dim))


def gates_of(shape: EncoderShape, seed: int, spread: float = 2.5) -> Gates:
    gates = Gates(shape)
    generator = torch.Generator().manual_seed(seed)
    for name in gates.learned:
        alpha = gates.get_parameter(name)
        alpha.data = spread * torch.randn(alpha.shape, generator=generator)
    gates.clamp()
    return gates


@given(shape=SHAPES, seed=st.integers(0, 999))
@sample(25)
def test_masked_and_compact_are_one_model_of_as_many_weights_as_counted(
    shape: EncoderShape, seed: int
) -> None:
    torch.manual_seed(seed)
    config = CofiConfig(
        vocab_size=40,
        max_position_embeddings=16,
        hidden_size=shape.hidden,
        head_dim=shape.head_dim,
        layer_heads=[shape.n_heads] * shape.n_layers,
        layer_ffn=[shape.ffn] * shape.n_layers,
    )
    model = CofiForSequenceClassification(config).eval()
    plan = decide(gates_of(shape, seed), None)
    small = compact(model, plan).eval()
    with torch.no_grad():
        masked = model.run(**batch(), masks=plan.masks(), skip_closed=False).logits
        alone = small.run(**batch()).logits
    assert (masked - alone).abs().max() <= COMPACT * max(1.0, masked.abs().max().item())
    assert 1 - count_prunable(small) / shape.prunable == pytest.approx(plan.sparsity, abs=1e-6)
    assert PrunePlan.model_validate_json(plan.model_dump_json()) == plan


@given(shape=SHAPES, seed=st.integers(0, 999), targets=st.lists(st.floats(0.05, 0.95), min_size=2))
@sample(25)
def test_more_is_closed_for_a_higher_target(
    shape: EncoderShape, seed: int, targets: list[float]
) -> None:
    """hold() shifts further, and what is expected of the gates then never falls."""
    expected = []
    for target in sorted(targets):
        gates = gates_of(shape, seed)
        gates.hold(target)
        expected.append(gates.expected_reduction().item())
        within = abs(expected[-1] - target) <= 1e-4
        assert within or expected[-1] < target  # out of reach: the gates keep their order
    reached = [e for e, t in zip(expected, sorted(targets)) if abs(e - t) <= 1e-4]
    assert reached == pytest.approx(sorted(reached), abs=2e-4)


@given(
    start=st.integers(0, 9),
    steps=st.integers(0, 30),
    target=st.floats(0, 0.99),
    power=st.sampled_from([1, 3]),
)
@sample(25)
def test_the_ramp_only_rises(start: int, steps: int, target: float, power: int) -> None:
    ramp = {"start": start, "ramp_steps": steps, "target": target, "power": power}
    values = [ramped_target(step, **ramp) for step in range(60)]
    assert values == sorted(values) and values[-1] == target
