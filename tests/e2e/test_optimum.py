"""optimum opens an export as it stands, in an environment of its own (`make test-optimum`).

optimum's ONNX classes live in optimum-onnx, which needs transformers below 4.58; so the
other environment's Python is named by COFI_OPTIMUM_PYTHON.
"""

import json
import os
import subprocess

import numpy as np
import pytest
from onnxruntime import InferenceSession

from cofi_cli.runs import RunDir

PYTHON = os.environ.get("COFI_OPTIMUM_PYTHON")
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


@pytest.mark.skipif(PYTHON is None, reason="needs COFI_OPTIMUM_PYTHON: make test-optimum")
def test_optimum_opens_an_export(finished, exported):
    folder = RunDir(finished).onnx
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-c", CODE, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    for name, answer in answers.items():
        session = InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        inputs = {key: np.asarray(value) for key, value in answer["inputs"].items()}
        np.testing.assert_allclose(session.run(None, inputs)[0], answer["logits"], atol=1e-5)
        assert answer["label"] in {"neg", "pos"}
