"""A model of ours does what tools of transformers expect: outputs, inputs, checkpointing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from cofi_cli.architectures import load_dense
from cofi_cli.modeling import CofiModel
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from tests.architectures import HEADS, LABELS, inputs_of, save
from tests.tiny import SHAPE, batch

INPUTS = batch()
heads = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def model(bert_folder: Path, head: str):
    return load_dense(str(bert_folder), num_labels=LABELS[head], head=head).eval()


@heads
@torch.no_grad()
def test_the_configuration_asks_for_outputs(model) -> None:
    plain = model(**INPUTS)
    assert plain.hidden_states is None and plain.attentions is None
    model.set_attn_implementation("eager")
    model.config.output_hidden_states = model.config.output_attentions = True
    asked = model(**INPUTS)
    assert len(asked.hidden_states) == SHAPE.n_layers + 1
    assert len(asked.attentions) == SHAPE.n_layers
    assert model(**INPUTS, output_hidden_states=False).hidden_states is None
    assert model(**INPUTS, output_attentions=False).attentions is None


@heads
@torch.no_grad()
def test_a_tuple_on_demand(model) -> None:
    whole = model(**INPUTS).to_tuple()
    asked = model(**INPUTS, return_dict=False)
    model.config.return_dict = False
    configured = model(**INPUTS)
    for found in (asked, configured):
        assert type(found) is tuple
        assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_attention_weights_are_those_of_bert(bert_folder: Path, attention: str) -> None:
    """Asked for under SDPA, which has none, attention is spelled out."""
    theirs = AutoModelForSequenceClassification.from_pretrained(
        bert_folder, attn_implementation="eager"
    ).eval()
    ours = load_dense(str(bert_folder), num_labels=2).eval()
    ours.set_attn_implementation(attention)
    expected = theirs(**INPUTS, output_attentions=True).attentions
    found = ours(**INPUTS, output_attentions=True).attentions
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_layer_without_attention_has_weights_of_no_heads(bert_folder: Path) -> None:
    dense = load_dense(str(bert_folder), num_labels=2).eval()
    plan = PrunePlan(
        shape=SHAPE.as_dict(),
        heads=[[0, 2], [], [1]],
        ffn=[[0], [0, 5], [3]],
        hidden=list(range(SHAPE.hidden)),
    )
    found = compact(dense, plan)(**INPUTS, output_attentions=True).attentions
    rows, length = INPUTS["input_ids"].shape
    assert [w.shape for w in found] == [(rows, h, length, length) for h in (2, 0, 1)]


@heads
@torch.no_grad()
def test_embedded_words_stand_in_for_ids(model) -> None:
    rest = {k: v for k, v in INPUTS.items() if k != "input_ids"}
    words = model.get_input_embeddings()(INPUTS["input_ids"])
    found = model(**rest, inputs_embeds=words, output_hidden_states=True)
    expected = model(**INPUTS, output_hidden_states=True)
    torch.testing.assert_close(found.hidden_states, expected.hidden_states)
    for inputs in (rest, INPUTS | {"inputs_embeds": words}):
        with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
            model(**inputs)


@pytest.mark.parametrize("name", ["bert", "mpnet", "modernbert", "deberta-v2"])
def test_checkpointing_keeps_the_gradients(name: str, tmp_path: Path) -> None:
    model = load_dense(str(save(tmp_path, name, "sequence")), num_labels=3).train()

    def gradients() -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model.zero_grad()
        model(**inputs_of(name)).logits.square().sum().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    expected, calls = gradients(), []
    layer = model.model.encoder.layers[0]
    layer.ffn.register_forward_pre_hook(lambda *_: calls.append(1))
    model.gradient_checkpointing_enable({"use_reentrant": False})
    found = gradients()
    assert len(calls) == 2  # once more for the backward pass
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, msg=key)


@heads
def test_every_folder_opens_as_the_bare_encoder(model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert model.config.auto_map["AutoModel"].startswith("modeling_cofi.Cofi")
    bare = CofiModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        found, expected = bare(**INPUTS).last_hidden_state, model.run(**INPUTS).states[-1]
    torch.testing.assert_close(found, expected)
