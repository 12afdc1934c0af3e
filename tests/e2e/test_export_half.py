"""Half precision where a model needs more: layers that go back to fp32, answers that are none."""

import shutil
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from cofi_cli.deploy import build, fallback, providers
from cofi_cli.deploy.bench import bench
from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.export import export
from cofi_cli.deploy.fp16 import names, to_fp16
from cofi_cli.deploy.graph import inspect
from cofi_cli.deploy.layers import by_layer
from cofi_cli.deploy.samples import pad, synthetic_rows
from cofi_cli.deploy.source import load_model, load_run_task
from cofi_cli.deploy.timing import Schedule
from cofi_cli.deploy.tracing import write_onnx
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.runs import RunDir

FAST = Schedule(runs=2, rounds=2, warmup=0, max_seconds=5)
BEYOND = 1e6
"""Times this the FFN's inner values leave the range of fp16, which ends at 65,504."""
ROWS = synthetic_rows(vocab=15, longest=32)
BATCH = pad(ROWS, range(len(ROWS)), pad_id=0)


@pytest.fixture(scope="module")
def large(finished, tmp_path_factory):
    """The run, its compact model's FFN large inside; what it adds to the stream is not."""
    root = tmp_path_factory.mktemp("large") / "run"
    shutil.copytree(finished, root)
    run = RunDir(root)
    model = load_model(str(run.model))
    ffn = model.model.encoder.layers[0].ffn
    with torch.no_grad():
        ffn.up.weight *= BEYOND
        ffn.up.bias *= BEYOND
        ffn.down.weight /= BEYOND
    model.save_pretrained(run.model)
    return root


def answers(file, batch=BATCH):
    """In the types that the graph names; onnxruntime has no fp16 on a processor, and widens."""
    evaluator = ReferenceEvaluator(str(file))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return evaluator.run(None, {name: batch[name] for name in evaluator.input_names})[0]


@pytest.fixture
def exact(monkeypatch):
    """Files answer in the types that they name, as on a GPU."""
    opened, start = {}, WorkerClient.__init__

    def noted(self, model, **options):
        start(self, model, **options)
        opened[self] = model

    monkeypatch.setattr(WorkerClient, "__init__", noted)
    monkeypatch.setattr(WorkerClient, "logits", lambda self, batch: answers(opened[self], batch))


@pytest.mark.parametrize("form", ["plain", "packed"])
def test_what_passes_between_nodes_that_stay_is_not_narrowed(large, tmp_path, form):
    source, half = tmp_path / "source.onnx", tmp_path / "half.onnx"
    write_onnx(load_model(str(RunDir(large).model)), source, opset=18, form=form)
    to_fp16(source, half)
    assert not np.isfinite(answers(half)).all()
    to_fp16(source, half, keep=by_layer(names(source))["layer 0"])
    np.testing.assert_allclose(answers(half), answers(source), atol=0.05)
    assert inspect(half).precision == "fp16"
    to_fp16(source, half, keep=names(source))
    np.testing.assert_allclose(answers(half), answers(source), atol=1e-3)  # logits are fp16


@pytest.mark.parametrize("form", ["plain", "fused-skip"])
def test_no_cast_is_left_that_nobody_reads(large, tmp_path, form):
    source, half = tmp_path / "source.onnx", tmp_path / "half.onnx"
    write_onnx(load_model(str(RunDir(large).model)), source, opset=18, form=form, provider="cuda")
    to_fp16(source, half, keep=by_layer(names(source))["layer 0"])
    graph = onnx.load(str(half)).graph
    read = {name for node in graph.node for name in node.input}
    read |= {output.name for output in graph.output}
    assert all(node.output[0] in read for node in graph.node)


@pytest.mark.usefixtures("exact")
def test_layers_that_fp16_does_not_hold_stay_fp32(large, tmp_path):
    wish = {"precision": "fp16", "provider": "cuda", "graph": "plain"}
    report = export(large, output=tmp_path / "onnx", **wish)
    row, fp32 = report["models"]["model_fp16"], report["models"]["model"]
    assert row["fp32_layers"] == ["layer 0"]
    assert row["score"] == pytest.approx(fp32["score"], abs=0.5)
    assert inspect(tmp_path / "onnx" / row["file"]).precision == "fp16"
    assert report["models"]["dense_fp16"]["fp32_layers"] == []
    (note,) = [note for note in report["notes"] if "layer 0" in note]
    assert note.startswith("fp16 keeps in fp32, for its score: layer 0.")


@pytest.mark.usefixtures("exact")
def test_fp16_that_no_layers_save_is_an_error_or_is_left_out(large, tmp_path, monkeypatch):
    monkeypatch.setattr(fallback, "most_sensitive_first", lambda *_, **__: ["head", "layer 0"])
    wish = {"provider": "cuda", "graph": "plain"}
    out = tmp_path / "onnx"
    with pytest.raises(CofiError, match="fp16 answers with what is no number, needed are") as e:
        export(large, output=out, precision="fp16", **wish)
    assert e.value.exit_code == PARITY and not out.exists()
    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")
    report = export(large, output=out, precision="auto", schedule=FAST, **wish)
    assert set(report["models"]) == {"model", "dense"} and report["picked"] == "model.onnx"
    assert not list(out.glob("*fp16*")) and "model_fp16.onnx" not in report["files"]
    assert any(note.startswith("fp16 is left out: fp16 answers") for note in report["notes"])


def test_fp16_that_a_gpu_answers_otherwise_is_left_out_whole(finished, tmp_path, monkeypatch):
    check = build.check_on_gpu

    def strict(model, file, rows, *, threads):
        if "fp16" in file.name:
            raise CofiError("On the GPU they disagree.", exit_code=PARITY)
        return check(model, file, rows, threads=threads)

    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")
    monkeypatch.setattr(build, "check_on_gpu", strict)
    wish = {"provider": "cuda", "graph": "plain", "max_drop": 50.0, "schedule": FAST}
    report = export(finished, output=tmp_path / "onnx", precision="auto", **wish)
    assert set(report["models"]) == {"model", "dense"}
    assert not list((tmp_path / "onnx").glob("*fp16*"))


@pytest.mark.usefixtures("exact")
def test_a_file_that_answers_with_no_numbers_is_not_scored(large, tmp_path):
    source, half = tmp_path / "source.onnx", tmp_path / "half.onnx"
    write_onnx(load_model(str(RunDir(large).model)), source, opset=18, form="plain")
    to_fp16(source, half)
    for file in RunDir(large).model.glob("*token*"):
        shutil.copy(file, tmp_path)
    task = load_run_task(RunDir(large))
    with pytest.raises(CofiError, match=r"half answers row \d+ with what is no finite number") as e:
        bench([half], task=task, batch=[1], seq_len=[8], runs=1, max_seconds=1)
    assert e.value.exit_code == PARITY and "--precision fp32" in e.value.hint
