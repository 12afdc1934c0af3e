"""Losses against their definitions, and both matchings."""

import pytest
import torch

from cofi_cli.pruning.distillation import (
    LayerLoss,
    match_nearest,
    match_ordered,
    prediction_loss,
    teacher_taps,
)


@pytest.mark.parametrize(
    ("layers", "taps"), [(12, [2, 5, 8, 11]), (6, [0, 2, 3, 5]), (4, [0, 1, 2, 3]), (2, [0, 1])]
)
def test_teacher_layers(layers: int, taps: list[int]) -> None:
    assert teacher_taps(layers) == taps


def test_prediction_loss_is_the_softened_divergence() -> None:
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    p, q = torch.softmax(teacher / 2, -1), torch.softmax(student / 2, -1)
    expected = (p * (p / q).log()).sum(-1).mean() * 4
    assert torch.allclose(prediction_loss(student, teacher, temperature=2.0), expected)


def test_nearest_may_repeat_a_layer() -> None:
    errors = torch.tensor([[3.0, 1.0, 2.0], [9.0, 0.5, 7.0]])
    assert match_nearest(errors) == [1, 1]


def test_ordered_descends_strictly_among_existing_layers() -> None:
    errors = torch.tensor([[1.0, 5.0, 9.0], [1.0, 0.1, 9.0], [1.0, 0.2, 0.9]])
    assert match_ordered(errors, [True, True, True]) == [None, 0, 1]
    assert match_ordered(errors, [True, False, True])[2] == 2


def test_ordered_skips_pairs_when_nothing_is_left() -> None:
    errors = torch.rand(4, 3)
    assert match_ordered(errors, [False] * 3) == [None] * 4
    assert match_ordered(errors, [True, False, False]) == [None, None, None, 0]


def test_fixed_compares_layers_of_one_number_and_no_others() -> None:
    states = [torch.randn(2, 3, 4) for _ in range(5)]
    teacher = torch.randn(2, 6, 4)
    loss = LayerLoss(4, matching="fixed", taps=[1, 4])
    found = loss(states, teacher, exists=[False] * 5, kept=None)
    expected = sum(
        (states[layer].reshape(6, 4) - teacher[tap]).square().mean()
        for tap, layer in enumerate([1, 4])
    )
    assert torch.allclose(found, expected)
    assert loss.last_match == [1, 4]


@pytest.mark.parametrize("matching", ["nearest", "ordered"])
def test_layer_loss_starts_as_plain_mse(matching: str) -> None:
    states = [torch.randn(7, 4) for _ in range(3)]
    teacher = torch.stack([states[0] + 0.1, states[2] + 0.2])
    loss = LayerLoss(4, matching=matching)
    value = loss(states, teacher, exists=[True] * 3, kept=None)
    assert loss.last_match == [0, 2]
    assert value.item() == pytest.approx(0.01 + 0.04, rel=1e-4)


def test_layer_loss_of_a_narrower_student_reads_the_kept_dims() -> None:
    kept = torch.tensor([0, 2])
    full = torch.randn(5, 4) * torch.tensor([1.0, 0.0, 1.0, 0.0])
    teacher = torch.randn(1, 5, 4)
    loss = LayerLoss(4, matching="nearest")
    loss.weight.data.normal_()
    wide = loss([full], teacher, exists=[True], kept=None)
    narrow = loss([full[:, kept]], teacher, exists=[True], kept=kept)
    assert torch.allclose(wide, narrow)
    of_wide, of_narrow = (torch.autograd.grad(value, loss.weight)[0] for value in (wide, narrow))
    assert torch.allclose(of_wide, of_narrow, atol=1e-6)


def test_layer_loss_compares_a_passed_on_state_once() -> None:
    state = torch.randn(5, 4, requires_grad=True)
    teacher = torch.randn(2, 5, 4)
    loss = LayerLoss(4, matching="nearest")
    loss([state, state, state], teacher, exists=[True, False, False], kept=None).backward()
    assert loss.last_match == [0, 0] and state.grad is not None


def test_layers_are_matched_by_tokens_from_the_whole_batch() -> None:
    teacher = torch.randn(1, 1000, 4)
    near, far = teacher[0] + 0.1, teacher[0].clone()
    far[500:] += 1
    loss = LayerLoss(4, matching="nearest")
    value = loss([far, near], teacher, exists=[True, True], kept=None)
    assert loss.last_match == [1] and value.item() == pytest.approx(0.01, rel=1e-3)
    real = torch.arange(0, 1000, 3)
    padded = torch.full((1000, 4), 100.0)
    padded[real] = teacher[0, real]
    loss([near, padded], teacher[:, real], exists=[True, True], kept=None, positions=real)
    assert loss.last_match == [1]


def test_the_map_learns_in_bf16() -> None:
    states = [torch.randn(5, 4, requires_grad=True) for _ in range(2)]
    loss = LayerLoss(4, matching="nearest")
    with torch.autocast("cpu", torch.bfloat16):
        loss(states, torch.randn(1, 5, 4), exists=[True, True], kept=None).backward()
    assert loss.weight.grad is not None and loss.weight.grad.abs().sum() > 0
