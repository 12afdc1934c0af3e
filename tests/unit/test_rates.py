"""Rates of weights, and dropout of students."""

import pytest
import torch

from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.modeling.dropout import set_dropout
from cofi_cli.training.stages.rates import base_rate, growth_of


@pytest.mark.parametrize(("width", "rate"), [(384, 1e-4), (768, 5e-5), (128, 3e-4)])
def test_the_rate_falls_with_the_width(width: int, rate: float) -> None:
    assert base_rate(width) == pytest.approx(rate)


def test_the_rate_grows_as_less_is_kept() -> None:
    assert growth_of(1.0, 0.5) == 1.0 and growth_of(0.05, 0.0) == 1.0
    assert growth_of(0.05, 0.5) == pytest.approx(20**0.5)


def test_no_dropout_is_left_and_the_configuration_keeps_its_own() -> None:
    config = CofiConfig(
        vocab_size=40, hidden_size=16, num_attention_heads=2, head_dim=8, intermediate_size=24,
        num_hidden_layers=2, layer_heads=[2, 2], layer_ffn=[24, 24], max_position_embeddings=32,
        hidden_dropout_prob=0.4, attention_probs_dropout_prob=0.4,
    )  # fmt: skip
    model = CofiForSequenceClassification(config).train()
    inputs = {"input_ids": torch.arange(5, 25).view(2, 10)}
    first, second = (model.run(**inputs).logits for _ in range(2))
    assert not torch.equal(first, second)
    set_dropout(model, 0.0)
    first, second = (model.run(**inputs).logits for _ in range(2))
    assert torch.equal(first, second)
    assert torch.allclose(first, model.eval().run(**inputs).logits, atol=1e-6)
    assert model.config.hidden_dropout_prob == 0.4
