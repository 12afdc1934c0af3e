"""Multiple choice, the kind that docs/adding-a-kind.md adds, down to timed ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForMultipleChoice, AutoTokenizer

import cofi_cli  # noqa: F401  (registers the model type)
from cofi_cli import bench, export
from cofi_cli.exporting.graphs.blocks import in_blocks
from cofi_cli.runs import RunDir, read_json
from cofi_cli.training import finetune, prune
from tests.tiny_kinds import kind_config, save_choices

SHORT = {
    "teacher": {"epochs": 6},
    "prune": {"epochs": 2, "dense_epochs": 0.5, "ramp_epochs": 0.5},
    "recover": {"epochs": 1},
    "distill": {"augment": 1},
}


@pytest.fixture(scope="module")
def run(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    root = tmp_path_factory.mktemp("choice")
    data = save_choices(root / "data")
    task = {"train": str(data / "train.csv"), "validation": str(data / "dev.csv"), "kind": "choice"}
    dense = RunDir(root / "dense")
    finetune(kind_config(bert_folder, task, **SHORT), dense)
    made = RunDir(root / "run")
    given = SHORT | {"teacher": {"path": str(dense.model)}}
    prune(kind_config(bert_folder, task, **given), made)
    export(made.root, graph="plain")
    return made


def test_it_learns_and_is_pruned(run: RunDir) -> None:
    report = read_json(run.report_json)
    assert (report["kind"], report["metric"]) == ("choice", "accuracy")
    assert report["teacher"]["score"] > 80, "it can be learned"
    assert report["sparsity"]["realised"] >= 0.59
    assert "AutoModelForMultipleChoice" in (run.model / "README.md").read_text()


def test_the_files_answer_as_the_models_and_are_timed(run: RunDir) -> None:
    report = read_json(run.report_json)
    result = bench([run.root], batch=(1, 3), seq_len=(8, "task"), threads=1, runs=2, warmup=1)
    scores = {row.model: row.score for row in result.scores}
    assert scores["model"] == pytest.approx(report["model"]["score"], abs=1e-6)
    assert scores["dense"] == pytest.approx(report["teacher"]["score"], abs=1e-6)
    assert {row.model for row in result.cases} >= {"model", "dense"}
    (ids, *_) = onnxruntime.InferenceSession(run.onnx / "model.onnx").get_inputs()
    assert ids.shape == ["batch", 3, "length"]


@pytest.mark.parametrize("graph", ["lean", "fused", "blocks"])
def test_graphs_take_a_row_of_several_texts(run: RunDir, tmp_path: Path, graph: str) -> None:
    if graph == "blocks":
        in_blocks(run.onnx / "model.onnx", tmp_path / "model.onnx", 48)
    else:
        export(run.model, output=tmp_path / "out", graph=graph, task=None)
    file = next(tmp_path.rglob("model.onnx"))
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    model = AutoModelForMultipleChoice.from_pretrained(run.model).eval()
    texts = [("the film", end) for end in ("is good", "is bad", "was a dull plot")] * 5
    rows = tokenizer(*map(list, zip(*texts, strict=True)), padding=True, return_tensors="pt")
    inputs = {name: tensor.reshape(5, 3, -1) for name, tensor in rows.items()}
    with torch.no_grad():
        expected = model(**inputs).logits.numpy()
    session = onnxruntime.InferenceSession(file)
    feed = {i.name: inputs[i.name].numpy() for i in session.get_inputs()}
    assert np.allclose(session.run(["logits"], feed)[0], expected, atol=1e-4)
