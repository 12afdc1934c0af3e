"""Question answering through the whole chain, on a tiny model: prune, open, export, bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from transformers import AutoModelForQuestionAnswering, BertForQuestionAnswering

import cofi_cli.auto  # noqa: F401  (registers the model type)
from cofi_cli import bench, export
from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport
from cofi_cli.runtime.timing import Schedule
from cofi_cli.training import dry_run, finetune, prune
from tests.tiny import GOOD, quick_config, save_questions

FAST = Schedule(runs=2, warmup=1, rounds=2)
HIDE = (
    "import sys\n"
    "class Hidden:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] == 'cofi_cli':\n"
    "            raise ModuleNotFoundError(name)\n"
    "sys.meta_path.insert(0, Hidden())\n"
)


@pytest.fixture(scope="module")
def config(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = save_questions(tmp_path_factory.mktemp("questions"), rows=256)
    base = quick_config(bert_folder, data, teacher={"epochs": 4})
    task = {"name": "squad", "data": str(data), "max_length": 24, "doc_stride": 6}
    return RunConfig.model_validate(base.model_dump() | {"task": task})


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = RunDir(tmp_path_factory.mktemp("span") / "run")
    prune(config, made)
    return made


@pytest.fixture(scope="module")
def exported(run: RunDir) -> dict[str, Any]:
    return export(run.root, precision="int8", graph="plain", schedule=FAST, max_drop=100.0)


def test_windows_are_the_rows_of_training(config: RunConfig, run: RunDir) -> None:
    plan = dry_run(config)
    assert plan["rows"] == {"train": 256, "validation": 128}
    assert plan["features"]["train"] > 300, "some contexts are longer than a window"
    report = RunReport.read(run.report_json)
    steps = {stage["name"]: stage["steps"] for stage in plan["stages"]}
    assert {name: stage.steps for name, stage in report.stages.items()} == steps
    assert report.stages["teacher"].examples == 4 * plan["features"]["train"]


def test_the_answers_are_learned_and_kept(run: RunDir) -> None:
    report = RunReport.read(run.report_json)
    assert report.metric == "f1" and report.kind == "span"
    assert set(report.model.scores["validation"]) == {"f1", "exact_match"}
    assert report.teacher.score > 80, "the task is easy, so the teacher must learn it"
    assert report.model.score > 60
    assert report.parity.masked_vs_compact <= 1e-5
    assert "The train split holds 256 questions" in report.note


def test_both_models_open_with_transformers(run: RunDir) -> None:
    compact = AutoModelForQuestionAnswering.from_pretrained(run.model)
    teacher = BertForQuestionAnswering.from_pretrained(run.teacher)
    ids = torch.randint(5, 23, (2, 9), generator=torch.Generator().manual_seed(0))
    for model in (compact.eval(), teacher.eval()):
        with torch.no_grad():
            assert model(ids).start_logits.shape == model(ids).end_logits.shape == (2, 9)


def _code(card: Path) -> str:
    return card.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


def test_the_model_cards_example_finds_a_span(run: RunDir) -> None:
    """As it stands, and where cofi is not installed."""
    card = run.model / "README.md"
    assert "pipeline_tag: question-answering" in card.read_text(encoding="utf-8")
    code = _code(card).replace('"PATH"', repr(str(run.model)))
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["answer"] and names["answer"] in names["context"]
    trusting = _code(card).replace('"PATH"', f"{str(run.model)!r}, trust_remote_code=True")
    code = f"{HIDE}{trusting.replace('import cofi_cli.auto', '')}\nprint(answer)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HF_MODULES_CACHE": str(run.root / "modules")},
    )
    assert done.stdout.strip() == names["answer"], done.stderr[-2000:]


def test_the_onnx_cards_example_finds_the_same(
    run: RunDir, exported: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchs: dict[str, Any] = {}
    exec(_code(run.model / "README.md").replace('"PATH"', repr(str(run.model))), torchs)
    monkeypatch.chdir(run.onnx)
    names: dict[str, Any] = {}
    exec(_code(run.onnx / "README.md"), names)
    assert names["answer"] == torchs["answer"]
    card = Path("README.md").read_text(encoding="utf-8")
    assert "`start_logits` and `end_logits`" in card and "f1 (dev)" in card
    assert exported.head == "span"


def test_the_files_score_as_torch_does(run: RunDir, exported: dict[str, Any]) -> None:
    report = RunReport.read(run.report_json)
    rows = exported.models
    assert rows["model"].score == pytest.approx(report.model.score, abs=1e-6)
    assert rows["dense"].score == pytest.approx(report.teacher.score, abs=1e-6)
    assert rows["model_int8"].metric == "f1"
    session = InferenceSession(str(run.onnx / "model.onnx"), providers=["CPUExecutionProvider"])
    ids = np.ones((3, 5), dtype=np.int64)
    feed = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ids)
    assert [out.shape for out in session.run(["start_logits", "end_logits"], feed)] == [(3, 5)] * 2
    config = json.loads((run.onnx / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "bert"


@pytest.mark.slow
def test_bench_times_and_scores_them(run: RunDir, exported: dict[str, Any]) -> None:
    found = bench(
        [run.root], batch=(1,), seq_len=("task",), threads=1, runs=2, warmup=1, torch=True
    )
    scores = {row.model: row for row in found.scores}
    for name in ("model", "dense", "model_int8", "dense_int8", "torch/model", "torch/dense"):
        assert scores[name].metric == "f1" and scores[name].rows == 128
    assert scores["torch/model"].score == pytest.approx(scores["model"].score, abs=1e-6)


def test_int8_keeps_layers_in_fp32_for_the_score(run: RunDir, tmp_path: Path) -> None:
    """The search for sensitive layers takes heads with several outputs too."""
    from cofi_cli.exporting.precision.fallback import by_layer, layer_batches, most_sensitive_first
    from cofi_cli.exporting.precision.quantization import products
    from cofi_cli.runtime.inputs import synthetic_rows

    export(run.root, graph="plain", output=tmp_path / "onnx", schedule=FAST)
    file = tmp_path / "onnx" / "model.onnx"
    layers = by_layer(products(file))
    order = most_sensitive_first(
        layers,
        source=file,
        make=lambda keep: file,
        batches=layer_batches(synthetic_rows(vocab=20, longest=12), pad_id=0),
    )
    assert sorted(order) == sorted(layers)


def test_finetune_recovers_a_compact_model(config: RunConfig, run: RunDir, tmp_path: Path) -> None:
    more = config.model_copy(
        update={
            "model": str(run.model),
            "teacher": config.teacher.model_copy(update={"path": str(run.teacher)}),
            "recover": config.recover.model_copy(update={"epochs": 1.0}),
        }
    )
    report = finetune(more, RunDir(tmp_path / "more"))
    assert report.model.score >= report.before["f1"]


def test_questions_and_a_teacher_are_enough(run: RunDir, config: RunConfig, tmp_path: Path) -> None:
    rows = [
        {"question": "is the film good", "context": f"film {i} {w}"}
        for i, w in enumerate(GOOD * 10)
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {"train": str(tmp_path / "q.jsonl"), "unlabelled": True, "max_length": 24}
    given = {"task": task | {"doc_stride": 6}, "teacher": {"path": str(run.teacher)}}
    own = RunConfig.model_validate(config.model_dump() | given | {"model": str(run.teacher)})
    assert dry_run(own)["kind"] == "span"
    report = prune(own, RunDir(tmp_path / "run"))
    assert report.metric == "agreement"
