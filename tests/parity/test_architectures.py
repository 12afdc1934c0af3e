"""The contract of an adapter, for every architecture and head (docs/adding-an-architecture.md)."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from cofi_cli.architectures import load_dense, save_dense
from cofi_cli.exporting.graphs.forms import FORMS, unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import open_session
from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import everything
from cofi_cli.pruning.sparsity import EncoderShape, count_prunable
from cofi_cli.runtime.outputs import answer_of
from cofi_cli.training.stages.optim import WeightOptimizer
from tests.architectures import HEADS, LABELS, TINY, class_of, inputs_of, plan_of, save
from tests.tiny import random_masks

every = pytest.mark.parametrize("name", TINY)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    return {}


@pytest.fixture
def folder(
    name: str, head: str, checkpoints: dict[tuple[str, str], Path], tmp_path_factory
) -> Path:
    """A checkpoint of the architecture and head that a test names."""
    if (name, head) not in checkpoints:
        checkpoints[name, head] = save(tmp_path_factory.mktemp("dense"), name, head)
    return checkpoints[name, head]


@pytest.fixture
def model(folder: Path, head: str) -> CofiForTask:
    return load_dense(str(folder), num_labels=LABELS[head], head=head).eval()


def edges(shape: EncoderShape) -> list[Masks]:
    """Return plans that close a whole group somewhere."""
    cases: list[dict[str, object]] = [
        {},
        {"head": 1, "ffn_dim": 0},
        {"attention": 0},
        {"attention": 2, "ffn": 1},
        {"attention": slice(None), "ffn": slice(None), "hidden": [0, 3]},
        {
            "head": (slice(None), slice(1, None)),
            "ffn_dim": (slice(None), slice(1, None)),
            "hidden": slice(1, None),
        },
    ]
    found = []
    for case in cases:
        masks = everything(shape).masks()
        for group, index in case.items():
            getattr(masks, group)[index] = 0.0
        found.append(masks)
    return found


@every
@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_equals_hugging_face(name: str, head: str, folder: Path, model: CofiForTask) -> None:
    theirs = class_of(name, head).from_pretrained(folder).eval()
    inputs = inputs_of(name)
    expected = theirs(**inputs, output_hidden_states=True)
    found = model(**inputs, output_hidden_states=True)
    real = inputs["attention_mask"].bool()
    assert len(found.hidden_states) == len(expected.hidden_states)
    theirs_last = theirs.base_model(**inputs).last_hidden_state
    # transformers 4.57 lists ModernBERT's last state before its final norm.
    states = [*expected.hidden_states[:-1], theirs_last]
    for mine, other in zip(found.hidden_states, states):
        torch.testing.assert_close(mine[real], other[real], **CLOSE)
    names = {"sequence": ["logits"], "token": ["logits"], "span": ["start_logits", "end_logits"]}
    for output in names.get(head, ["last_hidden_state"]):
        mine, other = getattr(found, output), getattr(expected, output)
        if head != "sequence":
            mine, other = mine[real], other[real]
        torch.testing.assert_close(mine, other, **CLOSE)


@every
@pytest.mark.parametrize("head", ["sequence", "token", "span"])
def test_round_trip(name: str, head: str, folder: Path, model: CofiForTask, tmp_path: Path) -> None:
    save_dense(model, tmp_path / "back", source=str(folder))
    before, after = (
        class_of(name, head).from_pretrained(place).state_dict()
        for place in (folder, tmp_path / "back")
    )
    assert before.keys() == after.keys()
    # What the head does not read is not ours to keep.
    assert [k for k in before if not torch.equal(before[k], after[k])] == []


@every
@pytest.mark.parametrize("head", ["sequence", "token", "span"])
def test_only_matrices_are_decayed(model: CofiForTask, name: str, head: str) -> None:
    (adam,) = WeightOptimizer([model], weight_decay=0.1).optimizers
    decayed, plain = adam.param_groups
    assert decayed["weight_decay"] == 0.1 and plain["weight_decay"] == 0.0
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in plain["params"]} == {1}


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_a_dense_model_is_saved_as_what_it_is(bert_folder: Path, tmp_path: Path, key: str) -> None:
    half = tmp_path / "half"
    AutoModelForSequenceClassification.from_pretrained(bert_folder).half().save_pretrained(half)
    config = json.loads((half / "config.json").read_text())
    config = {k: v for k, v in config.items() if "dtype" not in k} | {key: "float16"}
    (half / "config.json").write_text(json.dumps(config))
    save_dense(load_dense(str(half), num_labels=2), tmp_path / "back", source=str(half))
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path / "back")
    assert opened.dtype == torch.float32


@every
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("soft", [False, True])
@torch.no_grad()
def test_masked_equals_compact(name: str, head: str, soft: bool, model: CofiForTask) -> None:
    shape = EncoderShape.of(model.config)
    assert count_prunable(model) == shape.prunable
    inputs = inputs_of(name)
    fraction = random_masks(shape, 7, soft=True, closed=0.0)
    real = inputs["attention_mask"].bool()
    for masks in [*edges(shape), *(random_masks(shape, i, soft=soft, closed=0.4) for i in (1, 2))]:
        if soft:
            values = {f.name: getattr(masks, f.name) for f in fields(masks)}
            masks = Masks(**{k: v * getattr(fraction, k) for k, v in values.items()})
        plan = plan_of(masks, shape, soft=soft)
        small = compact(model, plan)
        assert count_prunable(small) == plan.kept_size
        masked = model.run(**inputs, masks=masks, skip_closed=False)
        found = small.run(**inputs)
        choose = real if model.per_token else ...
        torch.testing.assert_close(found.logits[choose], masked.logits[choose], **CLOSE)
        kept = plan.hidden
        torch.testing.assert_close(
            found.states[-1][real], masked.states[-1][real][:, kept], **CLOSE
        )
        is_dropped = [i for i in range(shape.hidden) if i not in kept]
        assert not any(state[..., is_dropped].any() for state in masked.states)


@every
@pytest.mark.parametrize("head", ["token"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_16_bits(
    name: str, head: str, attention: str, dtype: torch.dtype, model: CofiForTask, folder: Path
) -> None:
    """Training spells attention out on a CPU, for its dropout, whatever the implementation."""
    inputs = inputs_of(name)
    real = inputs["attention_mask"].bool()
    half = load_dense(str(folder), num_labels=LABELS[head], head=head).to(dtype)
    half.config._attn_implementation = attention
    with torch.no_grad():
        expected, found = model(**inputs).logits, half.eval()(**inputs).logits
    assert found.dtype == dtype
    torch.testing.assert_close(found.float()[real], expected[real], atol=0.1, rtol=0.1)
    logits = half.train()(**inputs).logits
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in half.parameters() if p.grad is not None)


@every
@pytest.mark.parametrize("head", ["sequence", "token"])
def test_skipping_keeps_value_and_gradient(name: str, head: str, folder: Path) -> None:
    results: list[tuple[Tensor, dict[str, Tensor]]] = []
    inputs = inputs_of(name)
    real = inputs["attention_mask"].bool()
    for skip in (True, False):
        model = load_dense(str(folder), num_labels=LABELS[head], head=head).double().eval()
        masks = random_masks(EncoderShape.of(model.config), 5, soft=True, closed=0.4)
        leaves = {f.name: getattr(masks, f.name).double().requires_grad_() for f in fields(masks)}
        out = model.run(**inputs, masks=Masks(**leaves), skip_closed=skip)
        closed = masks.hidden == 0
        assert all(not s[..., closed].any() for s in out.states)
        logits = out.logits[real] if model.per_token else out.logits
        loss = logits.square().sum() + 0.1 * sum(s[real].square().sum() for s in out.states)
        loss.backward()
        grads = {n: p.grad for n, p in model.named_parameters()}
        # A gate at its bound passes nothing on, so only open ones are compared.
        grads |= {n: (z.grad * (z > 0)) for n, z in leaves.items() if z.grad is not None}
        results.append((logits.detach(), grads))
    (logits, found), (expected_logits, expected) = results
    torch.testing.assert_close(logits, expected_logits)
    for key, gradient in expected.items():
        if gradient is None:
            assert found[key] is None
            continue
        own = torch.zeros_like(gradient) if found.get(key) is None else found[key]
        torch.testing.assert_close(own, gradient, atol=1e-7, rtol=1e-6, msg=key)


@every
@pytest.mark.parametrize("head", ["sequence", "span"])
@pytest.mark.parametrize("form", list(FORMS))
def test_equals_onnx(name: str, head: str, form: str, model: CofiForTask, tmp_path: Path) -> None:
    if (why := unsupported(model, form)) is not None:
        config = model.config
        has_bias = config.relative_buckets > 0 or config.disentangled is not None
        has_own_scores = config.position == "rotary" or has_bias
        if why == "its head reads more than the first token":
            assert form == "fused-lengths" and (head == "span" or config.pooling == "mean")
            return
        assert form not in ("plain", "packed") and (has_own_scores or config.pre_norm)
        assert ("rotation" if has_own_scores and form != "lean" else "normalise after") in why
        assert form != "lean" or config.pre_norm
        return
    model.config._attn_implementation = "eager"
    masks = random_masks(EncoderShape.of(model.config), 2, soft=True, closed=0.3)
    small = compact(model, plan_of(masks, EncoderShape.of(model.config), soft=True))
    write_onnx(small, tmp_path / "model.onnx", opset=18, form=form)
    session, inputs = open_session(tmp_path / "model.onnx"), inputs_of(name)
    names = {i.name for i in session.get_inputs()}
    assert names == set(inputs)
    out = session.run(None, {k: v.numpy() for k, v in inputs.items()})
    found = answer_of({o.name: v for o, v in zip(session.get_outputs(), out)})
    with torch.no_grad():
        expected = small.run(**inputs).logits
    choose = inputs["attention_mask"].bool() if head == "span" else ...
    torch.testing.assert_close(torch.tensor(found)[choose], expected[choose], **CLOSE)
