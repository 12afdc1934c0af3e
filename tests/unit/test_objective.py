"""Losses of each kind of task, against closed forms and other routes to them."""

import math

import pytest
import torch

from cofi_cli.tasks import KINDS
from cofi_cli.training.objective import Objective

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
REAL = MASK.flatten().nonzero().flatten()


def soft(kind, student, teacher, temperature=2.0):
    return Objective(KINDS[kind]).soft(student, teacher, MASK, temperature=temperature)


def test_a_number_carries_signal() -> None:
    """A divergence over one logit would be 0 whatever the student says."""
    student = torch.tensor([[1.0], [2.0]], requires_grad=True)
    loss = soft("regression", student, torch.tensor([[0.0], [4.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(2.5)
    assert student.grad is not None and student.grad.flatten().tolist() == [1.0, -2.0]


def test_ranking_is_logistic_against_labels() -> None:
    loss = Objective(KINDS["ranking"]).hard(
        torch.tensor([[0.0], [2.0]]), {"labels": torch.tensor([1, 0])}
    )
    assert loss.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)


def test_multilabel_is_a_sum_of_independent_divergences() -> None:
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    p, q = torch.sigmoid(teacher / 2), torch.sigmoid(student / 2)
    each = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert torch.allclose(soft("multilabel", student, teacher), each.sum(-1).mean() * 4)


def test_one_label_of_several_does_not_move_the_others() -> None:
    student = torch.zeros(1, 3, requires_grad=True)
    soft("multilabel", student, torch.tensor([[2.0, 0.0, 0.0]])).backward()
    assert student.grad is not None
    assert student.grad[0, 0] < 0 and student.grad[0, 1:].abs().max() == 0


def test_tokens_without_a_label_do_not_count() -> None:
    logits = torch.randn(2, 3, 4)
    labels = torch.tensor([[1, -100, 2], [-100, -100, 0]])
    kept = [(0, 0, 1), (0, 2, 2), (1, 2, 0)]
    expected = -sum(logits[row, t].log_softmax(-1)[label] for row, t, label in kept) / 3
    assert torch.allclose(Objective(KINDS["tokens"]).hard(logits, {"labels": labels}), expected)


def test_a_batch_without_any_label_is_no_nan() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = Objective(KINDS["tokens"]).hard(logits, {"labels": torch.full((2, 3), -100)})
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_a_span_is_two_distributions_over_real_positions() -> None:
    student, teacher = torch.randn(2, 4, 2), torch.randn(2, 4, 2)
    total = 0.0
    for row, length in enumerate(MASK.sum(1).tolist()):
        p = (teacher[row, :length] / 2).softmax(0)
        q = (student[row, :length] / 2).softmax(0)
        total = total + (p * (p / q).log()).sum()
    flat = [x.reshape(8, 2)[REAL] for x in (student, teacher)]
    assert torch.allclose(soft("span", *flat), total / 2 / 2 * 4, atol=1e-6)


def test_a_span_at_padding_cannot_be_the_answer() -> None:
    logits = torch.zeros(2, 4, 2)
    logits[:, 3] = 50.0
    batch = {"labels": torch.tensor([[0, 2], [1, 1]]), "attention_mask": MASK}
    loss = Objective(KINDS["span"]).hard(logits, batch)
    assert loss.item() == pytest.approx((math.log(3) + math.log(2)) / 2, abs=1e-5)


def test_embeddings_are_matched_in_direction() -> None:
    student = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1)
    teacher = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1)
    cosine = (student * teacher).sum(-1)
    assert torch.allclose(soft("embedding", student, teacher), (2 - 2 * cosine).mean(), atol=1e-6)


def test_long_embeddings_weigh_no_more_than_short_ones() -> None:
    """Teachers that do not normalise have vectors of any length."""
    teacher = torch.tensor([[30.0, 40.0], [0.3, 0.4]])
    student = teacher + torch.tensor([[5.0, 0.0], [0.05, 0.0]])
    assert soft("embedding", student, teacher).item() == pytest.approx(0.01)
