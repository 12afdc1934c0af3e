"""A small encoder for many tasks, on a tiny model: prune, open, finetune, export, bench."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from safetensors import safe_open
from transformers import AutoModel, AutoTokenizer, BertModel

import cofi_cli.auto  # noqa: F401  (registers the model type)
from cofi_cli import bench, export
from cofi_cli.architectures import load_config_dict
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import ExportRecord, RunReport
from cofi_cli.training import dry_run, finetune, prune
from tests.tiny import SHAPE, bert_config, quick_config, save_bert, save_reviews
from tests.tiny_kinds import kind_config, save_texts

TEXTS = ["the film is good", "a dull plot and its awful scene was lovely"]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    texts = save_texts(tmp_path_factory.mktemp("texts") / "texts.txt", rows=160)
    return {"kind": "encoder", "train": str(texts)}


@pytest.fixture(scope="module")
def run(
    bert_folder: Path, task: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> RunDir:
    made = RunDir(tmp_path_factory.mktemp("encoder") / "run")
    own = {"dense_epochs": 0, "gates": ("hidden", "ffn_dim")}  # so that the map has work to do
    config = kind_config(bert_folder, task, prune=own, recover={"epochs": 8})
    assert [stage["name"] for stage in dry_run(config)["stages"]] == ["prune", "recover"]
    prune(config, made)
    return made


@pytest.fixture(scope="module")
def exported(run: RunDir) -> ExportRecord:
    return export(run.root, precision="int8", graph="plain", max_drop=100.0)


def states(folder: Path) -> tuple[Any, Any]:
    """Return the last states of :data:`TEXTS` by transformers, (2, T, d), and the mask."""
    inputs = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        out = AutoModel.from_pretrained(folder).eval()(**inputs)
    return out.last_hidden_state, inputs["attention_mask"].bool()


def test_it_comes_near_the_states_of_the_model(run: RunDir, bert_folder: Path) -> None:
    report = RunReport.read(run.report_json)
    assert (report.kind, report.metric, list(report.stages)) == (
        "encoder",
        "agreement",
        ["prune", "recover"],
    )
    assert report.teacher.score == pytest.approx(100, abs=1e-3)
    assert 60 < report.model.score < 100
    assert report.sparsity.realised >= 0.59 and report.parity.masked_vs_compact <= 1e-5
    ours, mask = states(run.model)
    theirs, _ = states(run.teacher)
    assert ours.shape == theirs.shape == (*mask.shape, SHAPE.hidden), "the teacher's width"
    assert load_config_dict(str(run.model))["hidden_size"] < SHAPE.hidden
    cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)[mask]
    assert 100 * cosine.mean() == pytest.approx(report.model.score, abs=10)
    torch.testing.assert_close(theirs[mask], states(bert_folder)[0][mask], atol=1e-5, rtol=1e-5)
    with np.load(run.answers) as answers:
        assert answers["validation.outputs"].dtype == np.float16
    with safe_open(run.teacher / "model.safetensors", "pt") as tensors:
        assert not any("map" in key for key in tensors.keys())  # noqa: SIM118
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: feature-extraction" in card and "AutoModel.from_pretrained" in card


def test_the_graph_gives_the_last_states(run: RunDir, exported: ExportRecord) -> None:
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    inputs = dict(tokenizer(TEXTS, padding=True, return_tensors="np"))
    for name, folder in (("model", run.model), ("dense", run.teacher)):
        session = InferenceSession(str(run.onnx / f"{name}.onnx"))
        assert [output.name for output in session.get_outputs()] == ["last_hidden_state"]
        found = session.run(None, {k: inputs[k] for k in exported.inputs})[0]
        expected, mask = states(folder)
        np.testing.assert_allclose(found[mask], expected[mask], atol=1e-4)
    size = (SHAPE.hidden, SHAPE.hidden)
    graph = onnx.load(str(run.onnx / "dense.onnx")).graph
    products = sum(tuple(tensor.dims) == size for tensor in graph.initializer)
    assert products == 4 * SHAPE.n_layers, "no map that gives what it is given"
    assert exported.head == "encoder"
    report = RunReport.read(run.report_json)
    assert exported.models["dense"].score == pytest.approx(100, abs=1e-2)
    assert exported.models["model"].score == pytest.approx(report.model.score, abs=1e-2)


def test_the_onnx_cards_example_runs(
    run: RunDir, exported: ExportRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.onnx)
    names: dict[str, Any] = {}
    text = Path("README.md").read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert names["states"].shape[::2] == (2, SHAPE.hidden)


@pytest.mark.parametrize("graph", ["packed", "lean", "fused", "lean-fused"])
def test_other_graphs(run: RunDir, exported: ExportRecord, graph: str) -> None:
    record = export(run.root, graph=graph)
    report = RunReport.read(run.report_json)
    assert record.models["model"].score == pytest.approx(report.model.score, abs=1e-2)


@pytest.mark.slow
def test_it_is_timed_and_scored_in_onnx_and_torch(run: RunDir, exported: ExportRecord) -> None:
    report = RunReport.read(run.report_json)
    result = bench(
        [run.root], batch=(1,), seq_len=(8, "task"), threads=1, runs=2, warmup=1, torch=True
    )
    scores = {row.model: row.score for row in result.scores}
    assert scores["dense"] == pytest.approx(100, abs=1e-2)
    assert scores["model"] == pytest.approx(report.model.score, abs=1e-2)
    assert {row.model for row in result.cases} >= {"model", "dense"}


def test_it_learns_on_from_its_teacher(
    run: RunDir, task: dict[str, object], tmp_path: Path
) -> None:
    more = RunDir(tmp_path / "more")
    own = {"teacher": {"path": str(run.teacher)}}
    report = finetune(kind_config(run.model, task, **own), more)
    assert report.model.score >= report.before["agreement"] > 60
    assert states(more.model)[0].shape[-1] == SHAPE.hidden


def test_a_task_is_learned_on_top(run: RunDir, bert_folder: Path, tmp_path: Path) -> None:
    data = save_reviews(tmp_path / "data")
    plain, taught, dense = (RunDir(tmp_path / name) for name in ("plain", "taught", "dense"))
    recover = {"epochs": 6, "learning_rate": 5e-3}
    report = finetune(quick_config(run.model, data, recover=recover), plain)
    assert report.model.score > 80
    finetune(quick_config(bert_folder, data), dense)
    given = {"teacher": {"path": str(dense.model)}, "recover": recover}
    assert finetune(quick_config(run.model, data, **given), taught).model.score > 80
    for made in (plain, taught):
        config = json.loads((made.model / "config.json").read_text())
        assert config["architectures"] == ["CofiForSequenceClassification"]
        assert not config["wide_states"] and (made.model / "plan.json").exists()
    result = export(plain.model, output=tmp_path / "onnx", graph="plain")
    assert result.head == "sequence"


def test_a_teacher_must_fit(task: dict[str, object], tmp_path: Path, bert_folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bert_folder, other)
    BertModel(bert_config(hidden_size=32)).save_pretrained(other)
    changed = kind_config(bert_folder, task, teacher={"path": str(other)})
    with pytest.raises(CofiError, match="vector width 32 against the model's 16"):
        dry_run(changed)
    same = save_bert(tmp_path / "same", seed=7)
    assert dry_run(kind_config(bert_folder, task, teacher={"path": str(same)}))["kind"] == "encoder"


def test_a_dense_encoder_has_nothing_to_learn(
    task: dict[str, object], tmp_path: Path, bert_folder: Path
) -> None:
    with pytest.raises(CofiError, match="Kind encoder learns from a teacher's vectors, not from"):
        finetune(kind_config(bert_folder, task), RunDir(tmp_path / "no"))
