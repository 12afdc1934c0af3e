"""Tagged words through the whole chain, on a tiny random model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from cofi_cli import bench, export
from cofi_cli.config import RunConfig, TaskConfig
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import ExportRecord, RunReport
from cofi_cli.tasks.files.conll import read_sentences
from cofi_cli.tasks.metrics.tags import entities
from cofi_cli.training import prune
from tests.tiny import quick_config, save_tagged

pytestmark = pytest.mark.slow
LABELS = ["O", "B-blame", "I-blame", "B-praise", "I-praise"]


@pytest.fixture(scope="module")
def config(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = save_tagged(tmp_path_factory.mktemp("tagged"))
    quick = quick_config(
        bert_folder,
        data,
        teacher={"epochs": 30},
        prune={"epochs": 24, "dense_epochs": 12, "ramp_epochs": 4, "student_init": "teacher"},
        distill={"prediction_weight": 0.9, "layer_weight": 0.1},
        recover={"epochs": 20},
    )
    files = {"train": str(data / "train.conll"), "validation": str(data / "dev.conll")}
    return quick.model_copy(update={"task": type(quick.task)(**files, max_length=24)})


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("runs") / "tokens")
    prune(config, run)
    export(run.root, precision="int8", max_drop=100.0, threads=1, graph="plain", seq_len=(12,))
    return run


def test_the_report_and_the_scores(run: RunDir) -> None:
    report = RunReport.read(run.report_json)
    assert (report.kind, report.metric) == ("tokens", "entity_f1")
    assert report.teacher.score > 80, "learnable"
    assert report.model.score > 60
    assert set(report.model.scores["validation"]) == {
        "entity_f1",
        "precision",
        "recall",
        "accuracy",
    }
    assert report.parity.masked_vs_compact <= 1e-4


@pytest.mark.parametrize("part", ["teacher", "model"])
def test_transformers_alone_gets_the_reported_score(
    run: RunDir, config: RunConfig, part: str
) -> None:
    model = AutoModelForTokenClassification.from_pretrained(run.root / part)
    tokenizer = AutoTokenizer.from_pretrained(run.root / part)
    assert [model.config.id2label[i] for i in range(5)] == LABELS
    assert config.task.validation is not None
    dev = read_sentences(Path(config.task.validation), TaskConfig())
    assert dev.tags is not None
    right = both = 0
    for words, tags in zip(dev.words, dev.tags):
        given = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**given).logits[0].argmax(-1).tolist()
        found = [LABELS[best[given.word_ids().index(word)]] for word in range(len(words))]
        right += len(set(entities(tags)) & set(entities(found)))
        both += len(entities(tags)) + len(entities(found))
    assert getattr(RunReport.read(run.report_json), part).score == pytest.approx(200 * right / both)


def test_the_pipeline_and_the_card(run: RunDir) -> None:
    tag = pipeline("token-classification", model=str(run.model), aggregation_strategy="simple")
    found = tag("the film is great and dull")
    assert [(f["entity_group"], f["word"]) for f in found] == [
        ("praise", "great"),
        ("blame", "dull"),
    ]
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: token-classification" in card
    assert 'pipeline("token-classification"' in card and "entity_f1" in card


def test_without_cofi_the_code_beside_the_weights_opens_it(run: RunDir) -> None:
    code = (
        "import sys; from transformers import AutoModelForTokenClassification as A\n"
        "m = A.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "assert 'cofi_cli' not in sys.modules; print(type(m).__name__, m.config.id2label[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.model)],
        capture_output=True,
        text=True,
        cwd=run.root,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.stdout.split() == ["CofiForTokenClassification", "B-blame"], done.stderr


def test_onnx_files_are_scored_by_entities(run: RunDir) -> None:
    exported = ExportRecord.read(run.onnx / "export.json")
    assert exported.parity.max_abs_delta <= 1e-4
    rows, report = exported.models, RunReport.read(run.report_json)
    assert set(rows) >= {"model", "dense", "model_int8"}
    assert {row.metric for row in rows.values() if row.metric} == {"entity_f1"}
    assert rows["model"].score == pytest.approx(report.model.score)


def test_the_code_in_the_card_of_the_export_runs(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (run.onnx / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    code = re.sub(r"words = \[.*?\]", 'words = ["the", "film", "is", "great"]', code)
    monkeypatch.chdir(run.onnx)
    values: dict[str, object] = {}
    exec(code, values)
    assert values["tags"] == ["O", "O", "O", "B-praise"]
    assert np.asarray(values["logits"]).shape == (6, len(LABELS))


def test_bench_times_the_tasks_own_lengths_and_scores(run: RunDir) -> None:
    result = bench(
        [run.root], batch=(2,), seq_len=("task",), threads=1, runs=3, torch=False
    ).as_json()
    assert {case["seq_len"] for case in result["cases"]} == {"task"}
    assert {row["metric"] for row in result["scores"]} == {"entity_f1"}
