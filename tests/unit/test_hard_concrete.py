"""Closed forms of the hard concrete distribution."""

import math

import pytest
import torch

from cofi_cli.pruning import hard_concrete as hc
from cofi_cli.pruning.gates import Gates
from tests.tiny import SHAPE


def test_bounds_of_the_open_probability() -> None:
    """q lies in [0.047, 0.998] for |α| ≤ log 100."""
    ends = hc.p_open(torch.tensor([-hc.ALPHA_MAX, hc.ALPHA_MAX]))
    assert ends.tolist() == pytest.approx([0.0471, 0.9980], abs=1e-4)
    assert pytest.approx(1.5986, abs=1e-4) == hc.OPEN_SHIFT


@pytest.mark.parametrize("alpha", [-3.0, -1.6, 0.0, 2.0])
def test_share_of_open_samples_is_q(alpha: float) -> None:
    noise = hc.draw_noise(200_000, torch.Generator().manual_seed(0))
    z = hc.sample(torch.full_like(noise, alpha), noise)
    expected = torch.sigmoid(torch.tensor(alpha) - hc.BETA * math.log(0.1 / 1.1)).item()
    assert (z > 0).float().mean().item() == pytest.approx(expected, abs=0.004)
    assert z.min() >= 0.0 and z.max() <= 1.0


def test_median_sample_in_closed_form() -> None:
    """At u = 1/2 the noise vanishes: z = clamp(1.2·σ(α/β) - 0.1)."""
    alpha = torch.tensor([-1.0, 0.0, 0.7])
    z = hc.sample(alpha, torch.full_like(alpha, 0.5))
    assert torch.allclose(z, 1.2 * torch.sigmoid(alpha * 1.5) - 0.1)


def test_a_closed_sample_passes_no_gradient() -> None:
    alpha = torch.tensor([-4.0, 0.0], requires_grad=True)
    hc.sample(alpha, torch.full((2,), 0.5)).sum().backward()
    assert alpha.grad is not None
    assert alpha.grad[0] == 0.0 and alpha.grad[1] > 0.0


def test_every_gate_starts_open_and_the_reference_start_does_not() -> None:
    """The reference's FFN dims at α = 0 put expected sparsity at 11.7 % for BERT-base."""
    from cofi_cli.pruning.sparsity import EncoderShape

    bert = EncoderShape(n_layers=12, n_heads=12, head_dim=64, ffn=3072, hidden=768)
    assert Gates(bert).expected_sparsity().item() < 0.01
    assert Gates(bert, init="reference").expected_sparsity().item() == pytest.approx(
        0.117, abs=0.002
    )


def test_unlearned_groups_stay_open() -> None:
    gates = Gates(SHAPE, groups=("head", "ffn_dim"))
    masks = gates.sample(torch.Generator().manual_seed(0))
    assert masks.hidden.eq(1).all() and masks.attention.eq(1).all() and masks.ffn.eq(1).all()
    assert {n for n, p in gates.named_parameters() if p.requires_grad} == {"head", "ffn_dim"}


@pytest.mark.parametrize("target", [0.0, 0.2, 0.5, 0.8, 0.95, 0.99])
def test_hold_meets_the_target(target: float) -> None:
    gates = Gates(SHAPE)
    generator = torch.Generator().manual_seed(2)
    for name in gates.learned:
        alpha = gates.get_parameter(name)
        alpha.data = torch.randn(alpha.shape, generator=generator)
    gates.hold(target)
    lowest = Gates(SHAPE).expected_sparsity().item()
    assert gates.expected_sparsity().item() == pytest.approx(max(target, lowest), abs=2e-3)
    assert all(p.max() <= hc.ALPHA_MAX + 1e-6 for p in gates.parameters())
    assert all(p.min() >= hc.FLOOR - 1e-6 for p in gates.parameters())


def test_hold_keeps_the_order_of_gates() -> None:
    gates = Gates(SHAPE)
    gates.ffn_dim.data = torch.randn(
        gates.ffn_dim.shape, generator=torch.Generator().manual_seed(3)
    )
    before = gates.ffn_dim.detach().clone().flatten()
    gates.hold(0.5)
    after = gates.ffn_dim.detach().flatten()
    inside = (after < hc.ALPHA_MAX) & (after > hc.FLOOR)
    shift = (after - before)[inside]
    assert inside.sum() > 30
    assert torch.allclose(shift, shift[0].expand_as(shift), atol=1e-6)


@pytest.mark.parametrize(("floor", "share"), [(hc.REFERENCE_FLOOR, 0.047), (hc.FLOOR, 0.00166)])
def test_closed_gates_take_their_share_of_the_expected_size(floor: float, share: float) -> None:
    gates = Gates(SHAPE, floor=floor)
    gates.ffn_dim.data.fill_(-100.0)
    gates.clamp()
    assert gates.p_open().ffn_dim.max().item() == pytest.approx(share, rel=0.02)


def test_hold_keeps_the_order_where_the_target_is_out_of_reach() -> None:
    gates = Gates(SHAPE, groups=("head", "ffn_dim"), floor=hc.REFERENCE_FLOOR)
    gates.ffn_dim.data = torch.randn(
        gates.ffn_dim.shape, generator=torch.Generator().manual_seed(3)
    )
    before = gates.ffn_dim.detach().clone()
    assert gates.hold(0.99) == 0.0
    assert torch.equal(gates.ffn_dim, before)


def test_a_sample_has_a_hidden_dim() -> None:
    gates = Gates(SHAPE, groups=("hidden",))
    gates.hidden.data.fill_(-8.0)
    gates.hidden.data[3] = -7.9
    samples = [gates.sample(torch.Generator().manual_seed(i)).hidden for i in range(20)]
    assert all(sample.any() for sample in samples)
    assert any(sample.nonzero().flatten().tolist() == [3] for sample in samples)
