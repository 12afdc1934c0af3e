"""A compact model opens with transformers' own classes, each time in a fresh process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from cofi_cli.architectures import load_dense
from cofi_cli.modeling import modeling_cofi
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from tests.tiny import SHAPE

TEXT = "the film is great and its plot was lovely"

LOGITS = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, text = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(folder{options}).eval()
tokenizer = AutoTokenizer.from_pretrained(folder{options})
with torch.no_grad():
    logits = model(**tokenizer(text, return_tensors="pt")).logits
print(json.dumps({{"class": type(model).__module__, "logits": logits.tolist()}}))
"""

HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cofi_cli":
            raise ModuleNotFoundError("cofi_cli is not installed here", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module")
def compact_folder(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact model on disk: narrower everywhere, one sub-layer of each kind absent."""
    folder = tmp_path_factory.mktemp("compact") / "model"
    dense = load_dense(str(bert_folder), num_labels=2, labels=("bad", "good")).eval()
    plan = PrunePlan(
        shape=SHAPE.as_dict(),
        heads=[[0, 2], [], [1]],
        ffn=[[], [0, 5, 23], list(range(10))],
        hidden=[i for i in range(SHAPE.hidden) if i not in (3, 8)],
    )
    compact(dense, plan).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def logits(compact_folder: Path) -> torch.Tensor:
    """What the model says to TEXT in this process, with our own loader."""
    model = load_dense(str(compact_folder), num_labels=2).eval()
    tokens = AutoTokenizer.from_pretrained(compact_folder)(TEXT, return_tensors="pt")
    with torch.no_grad():
        return model(**tokens).logits


def run(code: str, folder: Path, cwd: Path) -> dict[str, object]:
    """Run code in a new process outside the checkout; return the JSON that it prints."""
    environment = os.environ | {"HF_HOME": str(cwd / "hf"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), TEXT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_auto_classes_know_the_model(
    compact_folder: Path, logits: torch.Tensor, tmp_path: Path
) -> None:
    code = f"import cofi_cli.auto\n{LOGITS.format(options='')}"
    found = run(code, compact_folder, tmp_path)
    assert found["class"] == "cofi_cli.modeling.modeling_cofi"
    torch.testing.assert_close(torch.tensor(found["logits"]), logits, atol=1e-6, rtol=0)


def test_pipeline(compact_folder: Path, logits: torch.Tensor, tmp_path: Path) -> None:
    code = (
        "import cofi_cli.auto, json, sys\nfrom transformers import pipeline\n"
        "classify = pipeline('text-classification', model=sys.argv[1], device='cpu')\n"
        "print(json.dumps(classify(sys.argv[2], top_k=None)))"
    )
    found = {row["label"]: row["score"] for row in run(code, compact_folder, tmp_path)}
    bad, good = logits.softmax(-1)[0].tolist()
    assert found == pytest.approx({"bad": bad, "good": good}, abs=1e-6)


def test_trust_remote_code_where_cofi_is_not_installed(
    compact_folder: Path, logits: torch.Tensor, tmp_path: Path
) -> None:
    code = HIDDEN + LOGITS.format(options=", trust_remote_code=True")
    found = run(code, compact_folder, tmp_path)
    assert "transformers_modules" in str(found["class"])
    torch.testing.assert_close(torch.tensor(found["logits"]), logits, atol=1e-6, rtol=0)


def test_the_bare_encoder_where_cofi_is_not_installed(compact_folder: Path, tmp_path: Path) -> None:
    code = HIDDEN + (
        "import json, sys\nfrom transformers import AutoModel\n"
        "model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "print(json.dumps([type(model).__name__, type(model).__module__]))"
    )
    name, module = run(code, compact_folder, tmp_path)
    assert name == "CofiModel" and "transformers_modules" in module


def test_a_checkpoint_holds_no_pickle(compact_folder: Path) -> None:
    assert {path.suffix for path in compact_folder.iterdir()} <= {
        ".json",
        ".safetensors",
        ".py",
        ".txt",
    }
    assert (compact_folder / "model.safetensors").is_file()


def test_the_model_file_imports_all_that_must_travel() -> None:
    """transformers 4.57 copies what a model file imports itself, and nothing behind that."""
    file = Path(modeling_cofi.__file__)
    imported = re.findall(r"^from \.(\w+) import", file.read_text(encoding="utf-8"), re.MULTILINE)
    files = {other.stem for other in file.parent.glob("*.py")} - {"__init__", file.stem}
    assert set(imported) == files
