"""From a finished run to ONNX files, a benchmark and a redrawn report; tiny random weights."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from transformers import BertForSequenceClassification, BertTokenizerFast

from cofi_cli import bench, export
from cofi_cli.config import ExportConfig, TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.exporting import parity
from cofi_cli.exporting.graphs import choice
from cofi_cli.runs import RunDir, read_json
from cofi_cli.runs.export_folder import is_fresh, options_of
from cofi_cli.runs.records import ExportRecord, RunReport, gate_error
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import pad, synthetic_rows
from cofi_cli.tasks import load_task

QUICK = {
    "batch": (1, 2),
    "seq_len": (8,),
    "runs": 4,
    "min_seconds": 0,
    "warmup": 1,
    "threads": 1,
    "torch": False,
}


def test_export_holds_both_models_and_all_that_is_needed_to_use_them(finished, exported):
    folder = RunDir(finished).onnx
    names = {path.name for path in folder.iterdir()}
    assert {"model.onnx", "dense.onnx", "config.json", "tokenizer.json", "export.json"} <= names
    assert ExportRecord.read(folder / "export.json") == exported
    assert (exported.opset, exported.position_offset) == (18, 0)
    assert set(exported.files) | {"export.json", "README.md"} == names
    assert exported.asked == ExportConfig(graph="plain")
    assert exported.parity.max_abs_delta <= 1e-4
    assert exported.parity.inputs.endswith("validation")
    assert RunReport.read(finished / "report.json").onnx.precision == "fp32"
    assert "against torch" in (finished / "report.md").read_text(encoding="utf-8")


def test_parity_is_seen_on_single_and_padded_batches(exported):
    for model in exported.models.values():
        cases = model.parity.cases
        assert any(case.batch == 1 for case in cases)
        assert any(case.padded for case in cases)
        assert len({case.seq_len for case in cases}) > 2


def test_dense_and_compact_have_one_graph_form(exported):
    """Absent sub-layers are absent from the graph: 2 attentions and 1 FFN against 3 and 3."""
    dense, compact = (exported.models[name].nodes for name in ("dense", "model"))
    assert set(dense) == set(compact)
    assert (dense["Softmax"], compact["Softmax"]) == (3, 2)
    assert (dense["Erf"], compact["Erf"]) == (3, 1)
    assert (dense["LayerNormalization"], compact["LayerNormalization"]) == (7, 4)


def test_the_dense_file_is_the_teacher_as_transformers_runs_it(finished, exported):
    """An oracle that is not ours: BertForSequenceClassification itself."""
    import onnxruntime as ort

    run = RunDir(finished)
    teacher = BertForSequenceClassification.from_pretrained(run.teacher).eval()
    session = ort.InferenceSession(str(run.onnx / "dense.onnx"))
    rows = synthetic_rows(vocab=15, longest=32)
    batch = pad(rows, range(len(rows)), pad_id=0)
    batch["token_type_ids"][:, 4:] = 1
    with torch.inference_mode():
        theirs = teacher(**{k: torch.from_numpy(v) for k, v in batch.items()}).logits.numpy()
    np.testing.assert_allclose(session.run(None, batch)[0], theirs, atol=1e-4)


def test_a_graph_that_differs_is_not_kept(finished, exported, tmp_path, monkeypatch):
    real = choice.write_onnx

    def shifted(model, file, **options):
        with torch.no_grad():
            model.classifier.bias += 1e-3
            real(model, file, **options)
            model.classifier.bias -= 1e-3

    monkeypatch.setattr(choice, "write_onnx", shifted)
    with pytest.raises(CofiError) as caught:
        export(finished, output=tmp_path / "out", graph="plain")
    assert caught.value.exit_code == 4
    assert "ONNX and torch disagree on model.onnx: a logit by 1.00e-03" in caught.value.message
    assert not list(tmp_path.iterdir())


def test_not_a_number_is_a_difference(finished, exported, monkeypatch):
    monkeypatch.setattr(parity, "torch_answer", lambda model, batch: np.full((1, 2), np.nan))
    with pytest.raises(CofiError, match="a logit by nan"):
        export(finished, graph="plain")


def test_freshness_follows_the_weights(finished, exported, tmp_path):
    run = RunDir(finished)
    assert is_fresh(finished, run.onnx)
    assert not is_fresh(finished, tmp_path)
    weights = run.model / "model.safetensors"
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert not is_fresh(finished, run.onnx)
    finally:
        weights.write_bytes(before)


def test_an_export_folder_of_older_weights_is_told(finished, exported, tmp_path, caplog):
    run, other = RunDir(tmp_path / "my run"), tmp_path / "other"
    shutil.copytree(finished, run.root)
    shutil.copytree(run.onnx, other)
    record = ExportRecord.read(other / "export.json")
    moved = {
        name: row.model_copy(update={"source": row.source.replace(str(finished), str(run.root))})
        for name, row in record.models.items()
    }
    changes = {"models": moved, "source": str(run.root)}
    record.model_copy(update=changes).write(other / "export.json")
    with caplog.at_level("WARNING"):
        bench([run.onnx], **QUICK | {"runs": 1}, score=False)
        bench([other], **QUICK | {"runs": 1}, score=False)
        assert "of other weights" not in caplog.text
        (run.model / "model.safetensors").write_bytes(b"retrained")
        bench([run.onnx], **QUICK | {"runs": 1}, score=False)
        bench([other], **QUICK | {"runs": 1}, score=False)
    told = [r.getMessage() for r in caplog.records if "of other weights" in r.getMessage()]
    command = f"cofi export --onnx '{run.root}'"
    asked = "--graph plain"
    assert [text.split(": ", 1)[1] for text in told] == [
        f"{command} {asked}",
        f"{command} -o {other} {asked}",
    ]


def test_what_an_export_was_asked_for_as_options():
    assert options_of(ExportConfig()) == ""
    asked = {"portable": True, "batch": (1, 32), "threads": 2, "max_drop": 1.0}
    options = "--portable --batch 1,32 --threads 2 --max-drop 1"
    assert options_of(ExportConfig(**asked)).split() == options.split()


def test_an_export_elsewhere_leaves_the_runs_report_alone(finished, exported, tmp_path):
    run = RunDir(finished)
    before = [path.read_bytes() for path in (run.report_json, run.report_md)]
    export(finished, output=tmp_path / "onnx", opset=17, graph="plain")
    assert [path.read_bytes() for path in (run.report_json, run.report_md)] == before


def test_a_users_own_checkpoint(finished, tmp_path, caplog):
    out = tmp_path / "onnx"
    report = export(RunDir(finished).teacher, output=out, graph="plain")
    assert list(report.models) == ["model"]
    assert report.parity.inputs == "synthetic"
    assert json.loads((out / "config.json").read_text())["model_type"] == "bert"
    again = export(RunDir(finished).teacher, output=out, opset=17, graph="plain")
    assert again.opset == 17


def test_a_checkpoint_without_a_head_is_refused(finished, tmp_path):
    BertForSequenceClassification.from_pretrained(RunDir(finished).teacher).bert.save_pretrained(
        tmp_path
    )
    BertTokenizerFast.from_pretrained(RunDir(finished).teacher).save_pretrained(tmp_path)
    with pytest.raises(CofiError) as caught:
        export(tmp_path, graph="plain")
    assert "has no task head: its answers would be random." in caught.value.message
    assert "cofi finetune" in caught.value.hint


def test_bench_of_a_run(finished, exported):
    run = RunDir(finished)
    turns = []
    result = bench(
        [finished],
        **QUICK,
        min_speedup=1e9,
        max_drop=100.0,
        progress=lambda *turn: turns.append(turn),
    )
    assert result.baseline == "dense"
    assert [(c.model, c.case) for c in result.cases] == [
        ("dense", "b1-s8"),
        ("model", "b1-s8"),
        ("dense", "b2-s8"),
        ("model", "b2-s8"),
    ]
    assert turns[:3] == [("dense b1-s8", 1, 16), ("model b1-s8", 2, 16), ("dense b1-s8", 3, 16)]
    for case in result.cases:
        samples = [s for turn in case.samples_ms for s in turn]
        assert case.runs == len(samples) == 4
        assert len(case.samples_ms) == 4
        assert case.p50_ms == pytest.approx(np.median(samples))
        assert case.throughput == pytest.approx(1000 * case.batch / np.mean(samples))
    for row in result.speedups:
        by_model = {c.model: c for c in result.cases if c.case == row.case}
        ratio = by_model["dense"].p50_ms / by_model["model"].p50_ms
        assert row.ratio == pytest.approx(ratio)
        assert row.interval[0] <= row.ratio <= row.interval[1]
    assert result.env.provider == "cpu"
    assert result.env.providers == ["CPUExecutionProvider"]
    assert result.env.threads == 1
    assert all(1e6 < model.peak_rss_bytes < 5e8 for model in result.models)
    assert [g.passed for g in result.gates] == [False, True]
    assert not result.passed
    assert gate_error(result.gates).exit_code == 3
    assert read_json(run.bench) == result.as_json()
    assert "## Latency" in run.report_md.read_text(encoding="utf-8")
    assert RunReport.read(run.report_json).bench.threads == 1


def test_scores_are_those_of_torch_on_the_dev_set(finished, exported):
    run = RunDir(finished)
    task = load_task(TaskConfig(**yaml.safe_load(run.config.read_text())["task"]))
    result = bench([run.onnx / "dense.onnx"], **QUICK | {"batch": (1,), "runs": 1})
    teacher = BertForSequenceClassification.from_pretrained(run.teacher).eval()
    words = BertTokenizerFast.from_pretrained(run.teacher)
    split = task.splits["validation"]
    with torch.inference_mode():
        logits = [teacher(**words(*t, return_tensors="pt")).logits[0].numpy() for t in split.texts]
    expected = task.score(np.stack(logits), np.asarray(split.labels))
    (row,) = result.scores
    assert (row.metric, row.rows, row.scores) == (task.metrics[0], 40, expected)
    assert row.score == expected[task.metrics[0]]
    assert result.speedups == []


def test_an_unexported_folder_is_exported_first(finished, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(RunDir(finished).model, folder)
    result = bench([folder], **QUICK | {"runs": 1}, score=False)
    assert (folder / "onnx" / "model.onnx").exists()
    assert [model.name for model in result.models] == ["model"]


def test_cuda_without_cuda(finished, exported):
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this machine has it")
    with pytest.raises(CofiError) as caught:
        bench([finished], provider="cuda", **QUICK)
    assert caught.value.exit_code == 5
    assert "onnxruntime runs on CPUExecutionProvider" in caught.value.message
    assert "pip install onnxruntime-gpu" in caught.value.hint


def test_a_length_beyond_the_positions(finished, exported):
    with pytest.raises(CofiError) as caught:
        bench([finished], **QUICK | {"seq_len": (33,)}, score=False)
    assert caught.value.message == "seq_len is 33, and dense takes at most 32 tokens."
    assert caught.value.hint == "Use --seq-len 32 or less."


def test_a_worker_that_dies_is_named(finished, exported):
    file = RunDir(finished).onnx / "model.onnx"
    with WorkerClient(file, name="model", provider="cpu", threads=1) as worker:
        worker._process.kill()
        with pytest.raises(CofiError) as caught:
            worker.ask("memory")
    assert caught.value.message == "The process that ran model ended (signal 9)."
    assert "too little memory" in caught.value.hint
    assert worker._process.poll() == -9


def test_no_process_is_left_behind(finished, exported):
    file = RunDir(finished).onnx / "model.onnx"
    with WorkerClient(file, name="model", provider="cpu", threads=1) as worker:
        process = worker._process
        assert process.poll() is None
    assert process.poll() == 0
