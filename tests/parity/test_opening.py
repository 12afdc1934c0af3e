"""How checkpoints of every architecture are opened: by us from what people have, and by others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from cofi_cli.architectures import ADAPTERS, load_dense
from cofi_cli.errors import CofiError
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.runtime.outputs import answer_of
from tests.architectures import HEADS, LABELS, TINY, inputs_of, save
from tests.tiny import random_masks

AUTO = {
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "span": "AutoModelForQuestionAnswering",
    "embedding": "AutoModel",
    "encoder": "AutoModel",
}
IN_A_FRESH_PROCESS = """
import json, sys, torch, transformers

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cofi_cli":
            raise ModuleNotFoundError("cofi_cli is not installed here", name=name)

sys.meta_path.insert(0, Hidden())
folder, auto, inputs = sys.argv[1:]
model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True).eval()
inputs = {name: torch.tensor(values) for name, values in json.loads(inputs).items()}
with torch.no_grad():
    print(json.dumps(model(**inputs)[0].tolist()))
"""


def language_model_of(name: str) -> str:
    """Return the class that an architecture's pretrained checkpoints are saved as."""
    if name == "electra":  # its generator is the masked language model; its encoder is the other
        return "ElectraForPreTraining"
    return transformers.MODEL_FOR_MASKED_LM_MAPPING[transformers.CONFIG_MAPPING[name]].__name__


def save_compact(folder: Path, name: str, head: str, tmp_path: Path):
    """Write a compact model with heads, FFN dims, hidden dims and sub-layers missing."""
    dense = save(tmp_path / "dense", name, head)
    model = load_dense(str(dense), num_labels=LABELS[head], head=head).eval()
    shape = EncoderShape.of(model.config)
    masks = random_masks(shape, 5, soft=False, closed=0.5)
    plan = PrunePlan(
        shape=shape.as_dict(),
        heads=[masks.kept_heads(i) for i in range(shape.n_layers)],
        ffn=[masks.kept_ffn(i) for i in range(shape.n_layers)],
        hidden=masks.kept_hidden(),
    )
    small = compact(model, plan).eval()
    small.save_pretrained(folder)
    return small


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_a_compact_model_opens_with_its_auto_class(name: str, head: str, tmp_path: Path) -> None:
    small = save_compact(tmp_path / "model", name, head, tmp_path)
    loaded = getattr(transformers, AUTO[head]).from_pretrained(tmp_path / "model").eval()
    inputs = inputs_of(name)
    expected, out = small.run(**inputs), loaded(**inputs)
    if head == "embedding":
        found, wanted = out.last_hidden_state, expected.states[-1]
    else:
        found = torch.from_numpy(answer_of({k: v.numpy() for k, v in out.items()}))
        wanted = expected.logits
    torch.testing.assert_close(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["modernbert", "mpnet", "deberta-v2"])
def test_the_code_travels_with_the_weights(name: str, tmp_path: Path) -> None:
    small = save_compact(tmp_path / "model", name, "token", tmp_path)
    inputs = inputs_of(name)
    text = json.dumps({k: v.tolist() for k, v in inputs.items()})
    made = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, str(tmp_path / "model"), AUTO["token"], text],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
    )
    assert made.returncode == 0, made.stderr[-2000:]
    with torch.no_grad():
        expected = small.run(**inputs).logits
    torch.testing.assert_close(torch.tensor(json.loads(made.stdout.splitlines()[-1])), expected)


@pytest.mark.parametrize("name", ADAPTERS)
@torch.no_grad()
def test_starts_from_a_pretrained_language_model(name: str, tmp_path: Path) -> None:
    """The encoder is taken over whole, the head is new."""
    save(tmp_path / "lm", name, "token", class_name=language_model_of(name))
    ours = load_dense(str(tmp_path / "lm"), num_labels=4, head="token").eval()
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "lm").eval()
    inputs = inputs_of(name)
    real = inputs["attention_mask"].bool()
    expected = theirs(**inputs).last_hidden_state
    torch.testing.assert_close(
        ours.run(**inputs).states[-1][real], expected[real], atol=1e-5, rtol=1e-5
    )
    assert ours.classifier.weight.shape[0] == 4


@pytest.mark.parametrize("name", ADAPTERS)
def test_starts_from_a_bare_encoder(name: str, tmp_path: Path) -> None:
    """The same weights with and without the prefix of a task model's keys."""
    save(tmp_path / "task", name, "token")
    whole = load_dense(str(tmp_path / "task"), num_labels=LABELS["token"], head="token")
    state = load_file(tmp_path / "task" / "model.safetensors")
    root = next(k for k in state if "embeddings" in k).partition(".")[0] + "."
    bare = {k.removeprefix(root): v for k, v in state.items() if k.startswith(root)}
    assert bare and not any(k.startswith(root) for k in bare)
    save_file(bare, tmp_path / "task" / "model.safetensors", metadata={"format": "pt"})
    again = load_dense(str(tmp_path / "task"), num_labels=2, head="token")
    own = again.state_dict()
    for key, tensor in whole.state_dict().items():
        if key.startswith("model.encoder."):
            assert torch.equal(own[key], tensor), key


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name, own in ADAPTERS.items() for key in own.fixed]
)
def test_a_variant_is_refused_by_its_configuration(name: str, key: str, tmp_path: Path) -> None:
    save(tmp_path, name, "sequence")
    config = json.loads((tmp_path / "config.json").read_text())
    *mappings, last = key.split(".")
    place = config
    for part in mappings:
        place = place.setdefault(part, {})
    place[last] = "another"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CofiError, match=f"{key}='another'; supported is only"):
        load_dense(str(tmp_path), num_labels=3)


def test_weights_of_more_layers_than_the_configuration_has(tmp_path: Path) -> None:
    folder = save(tmp_path, "bert", "sequence")
    config = json.loads((folder / "config.json").read_text())
    fewer = config | {"num_hidden_layers": config["num_hidden_layers"] - 1}
    (folder / "config.json").write_text(json.dumps(fewer))
    with pytest.raises(CofiError, match=r"holds model\.encoder\.layers\.\d+\..*does not describe"):
        load_dense(str(folder), num_labels=LABELS["sequence"])
