"""ours == Hugging Face, and masked == compact, for plans of every kind."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertForSequenceClassification

from cofi_cli.architectures import load_dense, save_dense
from cofi_cli.modeling import CofiForSequenceClassification, Masks
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan, everything
from cofi_cli.pruning.sparsity import EncoderShape, count_prunable, size, sparsity
from tests.tiny import SHAPE, batch, random_masks, save_bert
from tests.tiny_embedder import WIDTH, save_embedder

INPUTS = batch()


@pytest.fixture(scope="module")
def model(bert_folder: Path) -> CofiForSequenceClassification:
    return load_dense(str(bert_folder), num_labels=2).eval()


def plan_of(masks: Masks, *, soft: bool) -> PrunePlan:
    """Write masks down as a plan: what training does, by another way."""
    shape = SHAPE.as_dict()
    values = {name: getattr(masks, name).tolist() for name in masks.__dataclass_fields__}
    return PrunePlan(
        shape=shape,
        heads=[masks.kept_heads(i) for i in range(SHAPE.n_layers)],
        ffn=[masks.kept_ffn(i) for i in range(SHAPE.n_layers)],
        hidden=masks.kept_hidden(),
        values=values if soft else None,
    )


def special_masks() -> dict[str, Masks]:
    """Plans at the edges."""
    all_open = everything(SHAPE).masks()

    def closed(**where: object) -> Masks:
        values = {}
        for name, index in where.items():
            tensor = getattr(all_open, name).clone()
            tensor[index] = 0.0
            values[name] = tensor
        return replace(all_open, **values)

    return {
        "everything kept": all_open,
        "all heads of a layer gone": closed(head=1),
        "all FFN dims of a layer gone": closed(ffn_dim=0),
        "attention gate off": closed(attention=2),
        "FFN gate off": closed(ffn=1),
        "whole block gone": closed(attention=1, ffn=1),
        "last block gone by its units": closed(head=2, ffn_dim=2),
        "hidden dims gone": closed(hidden=[0, 3, 15]),
        "one head and one FFN dim a layer": closed(
            head=(slice(None), slice(1, None)), ffn_dim=(slice(None), slice(1, None))
        ),
        "everything but the embeddings gone": closed(attention=slice(None), ffn=slice(None)),
    }


@pytest.mark.parametrize("name", special_masks())
@pytest.mark.parametrize("soft", [False, True])
def test_masked_equals_compact_at_the_edges(
    model: CofiForSequenceClassification, name: str, soft: bool
) -> None:
    masks = special_masks()[name]
    if soft:
        values = {k: getattr(masks, k) for k in masks.__dataclass_fields__}
        fraction = random_masks(SHAPE, 7, soft=True, closed=0.0)
        masks = Masks(**{k: v * getattr(fraction, k) for k, v in values.items()})
    check_masked_equals_compact(model, plan_of(masks, soft=soft), masks)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("soft", [False, True])
def test_masked_equals_compact_for_random_plans(
    model: CofiForSequenceClassification, seed: int, soft: bool
) -> None:
    masks = random_masks(SHAPE, seed, soft=soft, closed=(0.2, 0.5, 0.8)[seed % 3])
    check_masked_equals_compact(model, plan_of(masks, soft=soft), masks)


@torch.no_grad()
def check_masked_equals_compact(
    model: CofiForSequenceClassification, plan: PrunePlan, masks: Masks
) -> None:
    small = compact(model, plan)
    masked = model.run(**INPUTS, masks=masks, skip_closed=False).logits
    torch.testing.assert_close(small.run(**INPUTS).logits, masked, atol=1e-5, rtol=1e-5)
    replayed = model.run(**INPUTS, masks=plan.masks(), skip_closed=False).logits
    torch.testing.assert_close(replayed, masked, atol=1e-6, rtol=1e-6)
    assert count_prunable(small) == plan.kept_size
    assert 1 - count_prunable(small) / SHAPE.prunable == pytest.approx(plan.sparsity)


def test_an_absent_sub_layer_leaves_no_tensor(
    model: CofiForSequenceClassification,
) -> None:
    masks = special_masks()["whole block gone"]
    names = compact(model, plan_of(masks, soft=False)).state_dict()
    assert not [name for name in names if ".layers.1." in name]


@pytest.mark.parametrize("seed", range(6))
def test_skipping_closed_units_keeps_value_and_gradient(bert_folder: Path, seed: int) -> None:
    """The cheap step is the fully masked step, for weights and for gates."""
    results = []
    for skip in (True, False):
        model = load_dense(str(bert_folder), num_labels=2).double().eval()
        masks = random_masks(SHAPE, seed, soft=True, closed=0.5)
        leaves = {
            name: getattr(masks, name).double().requires_grad_()
            for name in masks.__dataclass_fields__
        }
        out = model.run(**INPUTS, masks=Masks(**leaves), skip_closed=skip)
        hidden = out.states[-1]
        states = hidden.square().sum() if skip else hidden[..., masks.kept_hidden()].square().sum()
        (out.logits.square().sum() + 0.1 * states).backward()
        grads = {n: p.grad for n, p in model.named_parameters()}
        results.append((out.logits, grads, leaves))
    (logits, grads, leaves), (logits_all, grads_all, leaves_all) = results
    torch.testing.assert_close(logits, logits_all)
    for name, expected in grads_all.items():
        found = grads[name]
        found = torch.zeros_like(expected) if found is None else found
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7, msg=name)
    for name, leaf in leaves_all.items():
        is_open = leaf.detach() > 0  # a clamped gate passes no gradient on
        expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        found = leaves[name].grad
        found = torch.zeros_like(leaf) if found is None else found
        torch.testing.assert_close(found[is_open], expected[is_open], atol=1e-9, rtol=1e-7)


def test_a_closed_sub_layer_is_not_computed(
    model: CofiForSequenceClassification,
) -> None:
    masks = special_masks()["whole block gone"]
    model.zero_grad()
    model.run(**INPUTS, masks=masks).logits.sum().backward()
    untouched = {n for n, p in model.named_parameters() if p.grad is None}
    assert untouched == {n for n, _ in model.named_parameters() if ".layers.1." in n}
    model.zero_grad()


@pytest.mark.parametrize("with_types", [True, False])
def test_equals_hugging_face(bert_folder: Path, with_types: bool) -> None:
    theirs = BertForSequenceClassification.from_pretrained(bert_folder).eval()
    ours = load_dense(str(bert_folder), num_labels=2).eval()
    inputs = {k: v for k, v in INPUTS.items() if with_types or k != "token_type_ids"}
    with torch.no_grad():
        expected = theirs(**inputs, output_hidden_states=True)
        found = ours(**inputs, output_hidden_states=True)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
    real = INPUTS["attention_mask"].bool()
    for mine, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[real], other[real], atol=1e-5, rtol=1e-5)


def test_round_trip_to_hugging_face(bert_folder: Path, tmp_path: Path) -> None:
    ours = load_dense(str(bert_folder), num_labels=2).eval()
    save_dense(ours, tmp_path / "back", source=str(bert_folder))
    before = BertForSequenceClassification.from_pretrained(bert_folder).state_dict()
    after = BertForSequenceClassification.from_pretrained(tmp_path / "back").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_loads_a_bare_encoder_and_old_parameter_names(bert_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(bert_folder / "model.safetensors")
    bare = {k.removeprefix("bert."): v for k, v in state.items() if k.startswith("bert.")}
    old = {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): v
        for k, v in bare.items()
    }
    save_bert(tmp_path / "old")
    save_file(old, tmp_path / "old" / "model.safetensors", metadata={"format": "pt"})
    ours = load_dense(str(tmp_path / "old"), num_labels=3).eval()
    assert ours.classifier.weight.shape[0] == 3
    theirs = AutoModel.from_pretrained(bert_folder).eval()
    with torch.no_grad():
        expected = theirs(**INPUTS).last_hidden_state
        found = ours.run(**INPUTS).states[-1]
    real = INPUTS["attention_mask"].bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_expected_size_is_the_mean_of_sampled_sizes(seed: int) -> None:
    """The polynomial is an expectation: compare it with 4,000 draws of real plans."""
    shape = EncoderShape(n_layers=2, n_heads=3, head_dim=2, ffn=5, hidden=6)
    generator = torch.Generator().manual_seed(seed)
    like = random_masks(shape, seed, soft=True, closed=0.0)
    names = list(like.__dataclass_fields__)
    total, draws = 0.0, 4000
    for _ in range(draws):
        hard = {
            n: (torch.rand(getattr(like, n).shape, generator=generator) < getattr(like, n)).float()
            for n in names
        }
        total += float(size(Masks(**hard), shape))
    assert total / draws == pytest.approx(float(size(like, shape)), rel=0.03)


def test_published_prunable_sizes() -> None:
    """Counts of the two shapes that the literature states."""
    bert = EncoderShape(n_layers=12, n_heads=12, head_dim=64, ffn=3072, hidden=768)
    minilm = EncoderShape(n_layers=6, n_heads=12, head_dim=32, ffn=1536, hidden=384)
    assert (bert.prunable, minilm.prunable) == (85_017_600, 10_637_568)
    assert float(sparsity(everything(bert).masks(), bert)) == 0.0


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("dense", [None, "torch.nn.modules.activation.Tanh"])
@pytest.mark.parametrize("soft", [False, True])
def test_masked_equals_compact_for_embedders(
    tmp_path: Path, pooling: str, dense: str | None, soft: bool
) -> None:
    """What reads the stream is the pooler, square or narrow; its answer keeps its width."""
    folder = save_embedder(tmp_path / "m", pooling=pooling, dense=dense, normalize=dense is None)
    embedder = load_dense(str(folder), num_labels=1, head="embedding").eval()
    masks = random_masks(SHAPE, 3, soft=soft, closed=0.5)
    plan = plan_of(masks, soft=soft)
    with torch.no_grad():
        small = compact(embedder, plan)
        masked = embedder.run(**INPUTS, masks=masks, skip_closed=False).logits
        found = small.run(**INPUTS).logits
    torch.testing.assert_close(found, masked, atol=1e-5, rtol=1e-5)
    assert small.config.hidden_size < SHAPE.hidden
    assert found.shape[1] == (SHAPE.hidden if dense is None else WIDTH)
