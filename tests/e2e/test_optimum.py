"""optimum opens an export as it stands, in an environment of its own (`make test-optimum`).

optimum's ONNX classes live in optimum-onnx, which needs transformers below 4.58; so the
other environment's Python is named by COFI_OPTIMUM_PYTHON.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

from cofi_cli import export
from cofi_cli.modeling import (
    HEADS,
    CofiConfig,
    CofiForEmbedding,
    CofiForQuestionAnswering,
    CofiForTokenClassification,
)
from cofi_cli.runs import RunDir
from tests.e2e.conftest import tokenizer

PYTHON = os.environ.get("COFI_OPTIMUM_PYTHON")
needs_optimum = pytest.mark.skipif(
    PYTHON is None, reason="needs COFI_OPTIMUM_PYTHON: make test-optimum"
)
CODE = """
import json, sys
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline

folder, answers = sys.argv[1], {}
words = AutoTokenizer.from_pretrained(folder)
for name in ("model.onnx", "dense.onnx"):
    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name=name)
    inputs = words("a very good film", return_tensors="pt")
    answers[name] = {
        "inputs": {key: value.tolist() for key, value in inputs.items()},
        "logits": model(**inputs).logits.tolist(),
        "label": pipeline("text-classification", model=model, tokenizer=words)("good")[0]["label"],
    }
print(json.dumps(answers))
"""

TOKENS = """
import json, sys
from optimum.onnxruntime import ORTModelForTokenClassification
from transformers import AutoTokenizer, pipeline

words = AutoTokenizer.from_pretrained(sys.argv[1])
model = ORTModelForTokenClassification.from_pretrained(sys.argv[1], file_name="model.onnx")
inputs = words(["a", "very", "good", "film"], is_split_into_words=True, return_tensors="pt")
tag = pipeline("token-classification", model=model, tokenizer=words)
print(json.dumps({
    "inputs": {key: value.tolist() for key, value in inputs.items()},
    "logits": model(**inputs).logits.tolist(),
    "tags": [found["entity"] for found in tag("a very good film", ignore_labels=[])],
}))
"""

QUESTIONS = """
import json, sys
from optimum.onnxruntime import ORTModelForQuestionAnswering
from transformers import AutoTokenizer, pipeline

folder = sys.argv[1]
words = AutoTokenizer.from_pretrained(folder)
model = ORTModelForQuestionAnswering.from_pretrained(folder, file_name="model.onnx")
question, context = "is the film good", "the plot is very bad a film not fine"
inputs = words(question, context, return_tensors="pt")
out = model(**inputs)
answer = pipeline("question-answering", model=model, tokenizer=words)(question, context)
print(json.dumps({
    "inputs": {key: value.tolist() for key, value in inputs.items()},
    "start": out.start_logits.tolist(),
    "end": out.end_logits.tolist(),
    "answer": answer["answer"],
    "context": context,
}))
"""


FEATURES = """
import json, sys
from optimum.onnxruntime import ORTModelForFeatureExtraction
from transformers import AutoTokenizer

folder = sys.argv[1]
words = AutoTokenizer.from_pretrained(folder)
model = ORTModelForFeatureExtraction.from_pretrained(folder, file_name="model.onnx")
texts = ["the film is good", "a very bad plot is not fine"]
inputs = words(texts, padding=True, return_tensors="pt")
out = model(**inputs)
print(json.dumps({
    "inputs": {key: value.tolist() for key, value in inputs.items()},
    "states": out.last_hidden_state.tolist(),
}))
"""


def ask(code, folder):
    """Run code on an export folder in optimum's environment; return what it prints."""
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@needs_optimum
def test_optimum_opens_an_export(finished, exported):
    folder = RunDir(finished).onnx
    answers = ask(CODE, folder)
    for name, answer in answers.items():
        session = InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        inputs = {key: np.asarray(value) for key, value in answer["inputs"].items()}
        np.testing.assert_allclose(session.run(None, inputs)[0], answer["logits"], atol=1e-5)
        assert answer["label"] in {"neg", "pos"}


@needs_optimum
def test_optimum_answers_questions(tmp_path):
    torch.manual_seed(0)
    words = tokenizer(tmp_path)
    compact = CofiForQuestionAnswering(
        CofiConfig(
            hidden_size=29,
            head_dim=8,
            layer_heads=[3, 0, 1],
            layer_ffn=[7, 0, 0],
            vocab_size=len(words),
            max_position_embeddings=32,
            initializer_range=0.5,
        )
    )
    compact.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    folder = Path(export(tmp_path / "model", graph="plain").folder)
    found = ask(QUESTIONS, folder)
    session = InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {key: np.asarray(value) for key, value in found["inputs"].items()}
    start, end = session.run(["start_logits", "end_logits"], inputs)
    np.testing.assert_allclose(start, found["start"], atol=1e-5)
    np.testing.assert_allclose(end, found["end"], atol=1e-5)
    assert found["answer"] and found["answer"] in found["context"]


@needs_optimum
def test_optimum_opens_a_tagger(tmp_path):
    torch.manual_seed(0)
    names = ("O", "B-x", "I-x")
    words = tokenizer(tmp_path)
    model = CofiForTokenClassification(
        CofiConfig(
            vocab_size=len(words),
            max_position_embeddings=32,
            hidden_size=13,
            head_dim=4,
            layer_heads=[2, 0],
            layer_ffn=[7, 5],
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
    )
    model.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", output=tmp_path / "onnx", graph="plain")
    answer = ask(TOKENS, tmp_path / "onnx")
    with torch.no_grad():
        inputs = {key: torch.tensor(value) for key, value in answer["inputs"].items()}
        ours = model.eval()(**inputs).logits
    np.testing.assert_allclose(answer["logits"], ours.numpy(), atol=1e-4)
    assert answer["tags"] == [names[i] for i in ours[0, 1:-1].argmax(-1)]


@needs_optimum
def test_optimum_opens_an_embedder(tmp_path):
    """Its class gives the states of all tokens; the graph's sentence embedding lies beside them."""
    torch.manual_seed(0)
    words = tokenizer(tmp_path)
    compact = CofiForEmbedding(
        CofiConfig(
            hidden_size=29,
            pooler_size=32,
            pooling="mean",
            pooler_act="linear",
            normalize=True,
            head_dim=8,
            layer_heads=[3, 0, 1],
            layer_ffn=[7, 0, 0],
            vocab_size=len(words),
            max_position_embeddings=32,
            initializer_range=0.5,
        )
    )
    compact.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    folder = Path(export(tmp_path / "model", graph="plain").folder)
    found = ask(FEATURES, folder)
    session = InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {key: np.asarray(value) for key, value in found["inputs"].items()}
    tokens, vectors = session.run(["last_hidden_state", "sentence_embedding"], inputs)
    np.testing.assert_allclose(tokens, found["states"], atol=1e-5)
    assert vectors.shape == (2, 32)


@needs_optimum
@pytest.mark.parametrize(
    ("head", "task", "names"),
    [
        ("sequence", "text-classification", ["logits"]),
        ("token", "token-classification", ["logits"]),
        ("span", "question-answering", ["start_logits", "end_logits"]),
        ("embedding", "feature-extraction", ["last_hidden_state"]),
    ],
)
def test_optimum_exports_a_pruned_model(tmp_path, head, task, names):
    """Its graph takes other lengths than the one it was traced with, and answers as torch does."""
    assert PYTHON is not None
    torch.manual_seed(0)
    words = tokenizer(tmp_path)
    model = HEADS[head](
        CofiConfig(
            hidden_size=29,
            head_dim=8,
            layer_heads=[3, 0, 1],
            layer_ffn=[7, 0, 0],
            vocab_size=len(words),
            max_position_embeddings=32,
            initializer_range=0.5,
        )
    ).eval()
    model.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    asked = ["-m", str(tmp_path / "model"), "--task", task, "--trust-remote-code"]
    done = subprocess.run(
        [Path(PYTHON).with_name("optimum-cli"), "export", "onnx", *asked, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    inputs = dict(
        words(["a film", "a very bad plot is not fine"], padding=True, return_tensors="pt")
    )
    with torch.no_grad():
        expected = model(**inputs)
    session = InferenceSession(
        str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    found = session.run(names, {key: value.numpy() for key, value in inputs.items()})
    for name, values in zip(names, found, strict=True):
        np.testing.assert_allclose(values, expected[name].numpy(), atol=1e-5)
