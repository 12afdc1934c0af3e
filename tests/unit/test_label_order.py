"""Heads of models from elsewhere answer in the task's order of labels."""

from __future__ import annotations

import pytest
import torch

from cofi_cli.modeling import CofiConfig, CofiForTokenClassification
from cofi_cli.training.teacher.obtain import put_in_order
from tests.tiny import batch

OURS = ("O", "B-per", "B-loc")


def model() -> CofiForTokenClassification:
    torch.manual_seed(0)
    config = CofiConfig(
        vocab_size=40, hidden_size=8, head_dim=4, layer_heads=[2], layer_ffn=[8], num_labels=3
    )
    return CofiForTokenClassification(config).eval()


def test_the_answers_move_with_their_names() -> None:
    own = model()
    with torch.no_grad():
        own.classifier.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        before = own(**batch()).logits
        assert put_in_order(own, {"id2label": {"0": "B-LOC", "1": "O", "2": "B-PER"}}, OURS)
        after = own(**batch()).logits
    torch.testing.assert_close(after, before[..., [1, 2, 0]])
    assert own.config.id2label == dict(enumerate(OURS))


@pytest.mark.parametrize(
    "names", [OURS, ("LABEL_0", "LABEL_1", "LABEL_2"), ("O", "B-per"), ("O", "B-per", "B-org"), ()]
)
def test_other_names_are_left_alone(names: tuple[str, ...]) -> None:
    own = model()
    before = own.classifier.weight.clone()
    assert not put_in_order(own, {"id2label": {str(i): n for i, n in enumerate(names)}}, OURS)
    assert torch.equal(own.classifier.weight, before)
