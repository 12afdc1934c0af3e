"""The contract of an architecture: the same tests for each, with every head that it has."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from cofi_cli.architectures import ADAPTERS, load_dense, save_dense
from cofi_cli.deploy.answers import OUTPUTS, answer_of
from cofi_cli.deploy.forms import FORMS
from cofi_cli.deploy.tracing import input_names, write_onnx
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import EncoderShape, count_prunable
from tests.architectures import CASES, CLASSES, LABELS, batch, save_theirs
from tests.tiny import random_masks

HEADS = list(CLASSES)
PAIRS = [(case, head) for case in CASES for head in HEADS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    root = tmp_path_factory.mktemp("architectures")
    made = {(case, head): root / f"{i}" for i, (case, head) in enumerate(PAIRS)}
    for (case, head), folder in made.items():
        save_theirs(case, head, folder)
    return made


def ours(folders: dict[tuple[str, str], Path], case: str, head: str) -> CofiForTask:
    folder = folders[case, head]
    return load_dense(str(folder), num_labels=LABELS[head], head=head).eval()


def plan_of(masks: Masks, shape: EncoderShape, *, soft: bool) -> PrunePlan:
    values = {name: getattr(masks, name).tolist() for name in masks.__dataclass_fields__}
    layers = range(shape.n_layers)
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[masks.kept_heads(i) for i in layers],
        ffn=[masks.kept_ffn(i) for i in layers],
        hidden=masks.kept_hidden(),
        values=values if soft else None,
    )


def test_every_architecture_is_tested() -> None:
    tested = {getattr(transformers, f"{family}Config").model_type for family, _ in CASES.values()}
    assert tested == set(ADAPTERS)


@pytest.mark.parametrize(("case", "head"), PAIRS)
@torch.no_grad()
def test_equals_hugging_face(folders: Any, case: str, head: str) -> None:
    auto = getattr(transformers, f"AutoModel{CLASSES[head].removeprefix('Model')}")
    reference = auto.from_pretrained(folders[case, head]).eval()
    takes = inspect.signature(reference.forward).parameters
    inputs = batch(case)
    out = reference(**{k: v for k, v in inputs.items() if k in takes}, output_hidden_states=True)
    found = ours(folders, case, head).run(**inputs)
    real = inputs["attention_mask"].bool()
    for mine, other in zip(found.states, out.hidden_states, strict=True):
        torch.testing.assert_close(mine[real], other[real], atol=1e-5, rtol=1e-5)
    if head == "embedding":
        mask = inputs["attention_mask"][..., None].float()
        mean = (out.last_hidden_state * mask).sum(1) / mask.sum(1)
        expected = torch.nn.functional.normalize(mean, dim=-1)
    else:
        named = {k: v.numpy() for k, v in out.items() if k in OUTPUTS[head]}
        expected = torch.from_numpy(answer_of(named))
    where = real if found.logits.ndim == 3 else slice(None)
    torch.testing.assert_close(found.logits[where], expected[where], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("case", "head"), [p for p in PAIRS if p[1] != "embedding"])
def test_round_trip_to_hugging_face(folders: Any, tmp_path: Path, case: str, head: str) -> None:
    source = folders[case, head]
    save_dense(ours(folders, case, head), tmp_path / "back", source=str(source))
    before = load_file(source / "model.safetensors")
    after = load_file(tmp_path / "back" / "model.safetensors")
    # What the head does not use, such as RoBERTa's own pooler, is not carried along.
    assert after.keys() <= before.keys()
    assert all("pooler" in key for key in before.keys() - after.keys())
    assert all(torch.equal(before[key], tensor) for key, tensor in after.items())
    auto = getattr(transformers, f"AutoModel{CLASSES[head]}")
    _, loading = auto.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]


@pytest.mark.parametrize("case", CASES)
def test_a_pretrained_encoder_gets_a_new_head(folders: Any, case: str) -> None:
    """People start from masked language models; of their heads nothing is taken."""
    folder = str(folders[case, "embedding"])
    model = load_dense(folder, num_labels=5, head="token")
    state = load_file(folders[case, "embedding"] / "model.safetensors")
    assert model.classifier.weight.shape[0] == 5
    own = model.model.encoder.embeddings.word.weight
    assert any(torch.equal(own, tensor) for tensor in state.values())


@pytest.mark.parametrize(("case", "head"), PAIRS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("soft", [False, True])
@torch.no_grad()
def test_masked_equals_compact(folders: Any, case: str, head: str, seed: int, soft: bool) -> None:
    model = ours(folders, case, head)
    shape = EncoderShape.of(model.config)
    masks = random_masks(shape, seed, soft=soft, closed=(0.2, 0.5, 0.8)[seed])
    plan = plan_of(masks, shape, soft=soft)
    small = compact(model, plan)
    inputs = batch(case)
    masked = model.run(**inputs, masks=masks, skip_closed=False).logits
    found = small.run(**inputs).logits
    torch.testing.assert_close(found, masked, atol=1e-5, rtol=1e-5)
    assert count_prunable(small) == plan.kept_size


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_skipping_closed_units_keeps_value_and_gradient(folders: Any, case: str, seed: int) -> None:
    results = []
    for skip in (True, False):
        model = ours(folders, case, "token").double()
        masks = random_masks(EncoderShape.of(model.config), seed, soft=True, closed=0.5)
        leaves = {
            name: getattr(masks, name).double().requires_grad_()
            for name in masks.__dataclass_fields__
        }
        out = model.run(**batch(case), masks=Masks(**leaves), skip_closed=skip)
        out.logits.square().sum().backward()
        gates = {
            n: torch.zeros_like(v) if v.grad is None else torch.where(v > 0, v.grad, 0.0)
            for n, v in leaves.items()
        }
        results.append((out.logits, {n: p.grad for n, p in model.named_parameters()}, gates))
    (logits, grads, gates), (logits_all, grads_all, gates_all) = results
    torch.testing.assert_close(logits, logits_all)
    for name, expected in grads_all.items():
        if expected is not None:
            found = torch.zeros_like(expected) if grads[name] is None else grads[name]
            torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7, msg=name)
    for name, expected in gates_all.items():
        torch.testing.assert_close(gates[name], expected, atol=1e-9, rtol=1e-7, msg=name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", [name for name in FORMS if name != "fused-skip"])
def test_torch_equals_onnx(folders: Any, tmp_path: Path, case: str, form: str) -> None:
    from onnxruntime import InferenceSession

    model = ours(folders, case, "sequence")
    shape = EncoderShape.of(model.config)
    masks = random_masks(shape, 1, soft=False, closed=0.4)
    small = compact(model, plan_of(masks, shape, soft=False))
    small.config._attn_implementation = "eager"
    write_onnx(small, tmp_path / "m.onnx", opset=18, form=form)
    session = InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    assert tuple(names) == input_names(small)
    inputs = batch(case)
    found = session.run(None, {k: inputs[k].numpy() for k in names})[0]
    with torch.no_grad():
        expected = small.run(**inputs).logits.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("case", "head"), PAIRS)
def test_a_compact_model_opens_with_an_auto_class(
    folders: Any, tmp_path: Path, case: str, head: str
) -> None:
    model = ours(folders, case, head)
    shape = EncoderShape.of(model.config)
    masks = random_masks(shape, 2, soft=False, closed=0.4)
    small = compact(model, plan_of(masks, shape, soft=False)).eval()
    small.save_pretrained(tmp_path)
    auto = getattr(transformers, f"AutoModel{CLASSES[head].removeprefix('Model')}")
    loaded = auto.from_pretrained(tmp_path).eval()
    inputs = batch(case)
    with torch.no_grad():
        out = loaded(**inputs)
        expected = small.run(**inputs)
    found = out.last_hidden_state if head == "embedding" else None
    if found is None:
        found = torch.from_numpy(answer_of({k: v.numpy() for k, v in out.items()}))
    wanted = expected.states[-1] if head == "embedding" else expected.logits
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("case", [name for name in CASES if name != "distilbert"])
def test_a_variant_is_refused_by_its_configuration(folders: Any, tmp_path: Path, case: str) -> None:
    config = json.loads((folders[case, "sequence"] / "config.json").read_text())
    config["position_embedding_type"] = "relative_key"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CofiError, match="position_embedding_type='relative_key'"):
        load_dense(str(tmp_path), num_labels=3)
