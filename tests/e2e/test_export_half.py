"""Half precision where a model needs more: layers that go back to fp32, answers that are none."""

import shutil
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession
from safetensors.torch import load_file, save_file

from cofi_cli import bench, export
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting import acceptance
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision import fallback
from cofi_cli.exporting.precision.fallback import by_layer
from cofi_cli.exporting.precision.fp16 import names, to_fp16
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import ExportRecord, gate_error
from cofi_cli.runtime import providers
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import pad, synthetic_rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.recorded_task import load_run_task
from cofi_cli.runtime.timing import Schedule

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


def run(file):
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, BATCH)[0]


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


@pytest.mark.parametrize("form", FORMS)
def test_every_part_may_stay_fp32_in_every_form(finished, tmp_path, form):
    model = load_model(str(RunDir(finished).model))
    source, half = tmp_path / "source.onnx", tmp_path / "half.onnx"
    write_onnx(model, source, opset=18, form=form, provider="cuda")
    layers = by_layer(names(source))
    assert set(layers) == {"layer 0", "layer 2", "head"}
    every = {node for nodes in layers.values() for node in nodes}
    for nodes in layers.values():
        for keep in (set(nodes), every - set(nodes)):
            to_fp16(source, half, keep=sorted(keep))
            np.testing.assert_allclose(run(half), run(source), atol=0.05)
            assert inspect(half).precision == "fp16"
            graph = onnx.load(str(half)).graph
            read = {name for node in graph.node for name in node.input}
            read |= {output.name for output in graph.output}
            casts = [node for node in graph.node if node.op_type == "Cast"]
            assert all(node.output[0] in read for node in casts), "nobody reads it"


@pytest.mark.usefixtures("exact")
def test_layers_that_fp16_does_not_hold_stay_fp32(large, tmp_path):
    wish = {"precision": "fp16", "provider": "cuda", "graph": "plain"}
    report = export(large, output=tmp_path / "onnx", **wish)
    row, fp32 = report.models["model_fp16"], report.models["model"]
    assert row.fp32_layers == ["layer 0"]
    assert row.score == pytest.approx(fp32.score, abs=0.5)
    assert inspect(tmp_path / "onnx" / row.file).precision == "fp16"
    assert report.models["dense_fp16"].fp32_layers == []
    (note,) = [note for note in report.notes if "layer 0" in note]
    assert note.startswith("fp16 keeps in fp32, for its score: layer 0.")


@pytest.mark.usefixtures("exact")
def test_fp16_that_no_layers_save_is_an_error_or_is_left_out(large, tmp_path, monkeypatch):
    monkeypatch.setattr(fallback, "most_sensitive_first", lambda *_, **__: ["head", "layer 0"])
    wish = {"provider": "cuda", "graph": "plain"}
    out = tmp_path / "onnx"
    with pytest.raises(
        CofiError, match="fp16 answers with what is no number, and keeping all"
    ) as e:
        export(large, output=out, precision="fp16", **wish)
    assert e.value.exit_code == PARITY and not out.exists()
    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")
    report = export(large, output=out, precision="auto", schedule=FAST, **wish)
    assert set(report.models) == {"model", "dense"} and report.picked == "model.onnx"
    assert not list(out.glob("*fp16*")) and "model_fp16.onnx" not in report.files
    assert any(note.startswith("fp16 is left out: fp16 answers") for note in report.notes)


def test_fp16_that_a_gpu_answers_otherwise_is_left_out_whole(finished, tmp_path, monkeypatch):
    check = acceptance.check_on_gpu

    def strict(model, file, rows, *, threads):
        if "half" in file.name:
            raise CofiError("On the GPU they disagree.", exit_code=PARITY)
        return check(model, file, rows, threads=threads)

    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")
    monkeypatch.setattr(acceptance, "check_on_gpu", strict)
    wish = {"provider": "cuda", "graph": "plain", "max_drop": 50.0, "schedule": FAST}
    report = export(finished, output=tmp_path / "onnx", precision="auto", **wish)
    assert set(report.models) == {"model", "dense"}
    assert not list((tmp_path / "onnx").glob("*fp16*"))
    (note,) = [note for note in report.notes if "fp16" in note]
    assert note.startswith("fp16 is left out: fp16 is not the model (On the GPU they disagree)")


@pytest.mark.usefixtures("exact")
def test_a_teacher_that_fp16_does_not_hold_is_left_out_of_it(large, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(large, root)
    state = load_file(RunDir(root).teacher / "model.safetensors")
    up, down = (f"bert.encoder.layer.0.{part}.dense" for part in ("intermediate", "output"))
    for name in (f"{up}.weight", f"{up}.bias"):
        state[name] *= BEYOND
    state[f"{down}.weight"] /= BEYOND
    save_file(state, RunDir(root).teacher / "model.safetensors", {"format": "pt"})
    wish = {"precision": "fp16", "provider": "cuda", "graph": "plain"}
    report = export(root, output=tmp_path / "onnx", **wish)
    assert set(report.models) == {"model", "dense", "model_fp16"}
    assert any(
        note.startswith("dense_fp16.onnx is left out: dense_fp16 answers") for note in report.notes
    )
    assert ExportRecord.read(tmp_path / "onnx" / "export.json") == report
    assert not (tmp_path / "onnx" / "dense_fp16.onnx").exists()


@pytest.mark.usefixtures("exact")
def test_a_file_that_answers_with_no_numbers_has_no_score(large, tmp_path, caplog):
    source, half = tmp_path / "source.onnx", tmp_path / "half.onnx"
    write_onnx(load_model(str(RunDir(large).model)), source, opset=18, form="plain")
    to_fp16(source, half)
    for file in [*RunDir(large).model.glob("*token*"), RunDir(large).model / "config.json"]:
        shutil.copy(file, tmp_path)
    task = load_run_task(RunDir(large))
    wish = {"task": task, "batch": [1], "seq_len": [8], "runs": 5, "max_seconds": 1}
    found = bench([source, half], max_drop=1.0, **wish)
    assert [row.model for row in found.scores] == ["source"]
    assert {row.model for row in found.cases} == {"source", "half"}
    assert "It has no score: half answers row " in caplog.text
    (gate,) = found.gates
    assert not gate.passed and gate.value is None
    assert "half or what it is compared with has no score" in str(gate_error(found.gates))


@pytest.mark.parametrize("precision", ["fp16", "auto"])
def test_without_a_gpu_it_is_said_what_is_not_known(finished, tmp_path, precision):
    wish = {"precision": precision, "provider": "cuda", "graph": "plain"}
    report = export(finished, output=tmp_path / "onnx", **wish)
    assert report.models["model_fp16"].checked_on == "cpu"
    assert any("its range and rounding cost on a GPU is not known" in n for n in report.notes)
    assert report.picked is None
    assert any("The fastest file is not known" in n for n in report.notes) == (precision == "auto")
