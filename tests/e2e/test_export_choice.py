"""Graph forms, 8 bits, half precision, and what is chosen among them; tiny random weights."""

import copy
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime import InferenceSession

from cofi_cli import bench, export
from cofi_cli.architectures import load_tokenizer
from cofi_cli.benchmarking.targets import resolve_targets
from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting import acceptance, candidates, order
from cofi_cli.exporting import export as export_module
from cofi_cli.exporting.candidates import Conditions, Ranking, rank
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs import blocks
from cofi_cli.exporting.graphs import choice as graphs_module
from cofi_cli.exporting.graphs.blocks import in_blocks
from cofi_cli.exporting.graphs.forms import FORMS, ON_GPU, SKIP, is_another, unsupported
from cofi_cli.exporting.graphs.modules import Traced
from cofi_cli.exporting.graphs.tracing import residuals_as_sums, write_onnx
from cofi_cli.exporting.parity import check_on_gpu
from cofi_cli.exporting.precision import fallback, int8
from cofi_cli.exporting.precision.fallback import by_layer, layer_batches, most_sensitive_first
from cofi_cli.exporting.precision.fp16 import to_fp16
from cofi_cli.exporting.precision.quantization import (
    RECIPES,
    Recipe,
    calibration_batches,
    products,
    quantize,
)
from cofi_cli.runs import RunDir, read_json
from cofi_cli.runs.export_folder import is_fresh, options_of
from cofi_cli.runs.records import Candidate, ExportRecord
from cofi_cli.runtime import named_task as named_task_module
from cofi_cli.runtime import providers
from cofi_cli.runtime.inputs import pad, synthetic_rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.timing import Schedule
from cofi_cli.tasks import Task
from tests.architectures import save
from tests.e2e.conftest import tokenizer
from tests.records import score_row

FAST = Schedule(runs=2, rounds=2, warmup=0, max_seconds=5)
ROWS = synthetic_rows(vocab=15, longest=32)
BATCH = pad(ROWS, range(len(ROWS)), pad_id=0)


@pytest.fixture(scope="module")
def model(finished):
    return load_model(str(RunDir(finished).model))


@pytest.fixture(scope="module")
def graphs(model, tmp_path_factory):
    """Each form of the compact model: heads 3, 0, 1."""
    folder = tmp_path_factory.mktemp("graphs")
    for form in FORMS:
        write_onnx(model, folder / f"{form}.onnx", opset=18, form=form)
    return {form: folder / f"{form}.onnx" for form in FORMS}


def logits(file):
    return InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, BATCH)[0]


@pytest.mark.parametrize("form", [name for name in FORMS if name != "plain"])
def test_all_forms_are_one_function(graphs, form):
    np.testing.assert_allclose(logits(graphs[form]), logits(graphs["plain"]), atol=1e-5)


def test_a_form_does_not_change_the_model(model, graphs):
    assert type(model.model.encoder.layers[0].attention).__name__ == "Attention"


def test_what_a_form_consists_of(graphs):
    nodes = {form: inspect(file).nodes for form, file in graphs.items()}
    assert nodes["plain"]["Softmax"] == nodes["packed"]["Softmax"] == 2
    assert nodes["plain"]["MatMul"] - nodes["packed"]["MatMul"] == 4  # Q, K, V in one, twice
    assert nodes["fused"]["Attention"] == nodes["fused-skip"]["Attention"] == 2
    assert "Softmax" not in nodes["fused"]
    # The residuals, the bias before Gelu, the embeddings.
    assert nodes["lean"]["Sub"] == nodes["plain"].get("Sub", 0) + 3 + 1 + 1
    assert nodes["plain"]["Sum"] == 4 and "Sum" not in nodes["lean"]
    # Without the biases of two outputs, two keys and both of the FFN, and without token types,
    # which number the rows of the table instead; without scaling scores.
    assert nodes["plain"]["Add"] - nodes["lean"]["Add"] == 6 + 1 - 1
    assert nodes["lean"]["Mul"] == nodes["plain"]["Mul"] - 2 + 1
    assert nodes["lean-fused"]["Attention"] == 1  # the last one has one query a row
    for form in SKIP:  # the embeddings, two attentions, one FFN
        assert nodes[form]["EmbedLayerNormalization"] == 1
        assert nodes[form]["SkipLayerNormalization"] == 3
        assert nodes[form]["BiasGelu"] == 1
        assert "LayerNormalization" not in nodes[form] and "Add" not in nodes[form]
    heads = [
        attribute.i
        for node in onnx.load(str(graphs["fused"])).graph.node
        if node.op_type == "Attention"
        for attribute in node.attribute
        if attribute.name == "num_heads"
    ]
    assert heads == [3, 1]


def test_portable_forms_hold_standard_operators_only(graphs):
    for name, form in FORMS.items():
        domains = {node.domain for node in onnx.load(str(graphs[name])).graph.node}
        assert (domains == {""}) is form.is_portable


def test_residuals_are_sums_so_that_the_runtime_leaves_them_alone(model, graphs, tmp_path):
    nodes = inspect(graphs["packed"]).nodes
    assert nodes["Sum"] == 4  # the embeddings, two attentions, one FFN
    file = tmp_path / "cuda.onnx"
    write_onnx(model, file, opset=18, form="packed", provider="cuda")
    assert "Sum" not in inspect(file).nodes
    assert residuals_as_sums(file) == 4
    assert residuals_as_sums(file) == 0


@pytest.mark.parametrize("form", ["packed", "lean", "lean-fused"])
@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_sums_and_differences_keep_the_runtime_from_fusing(model, tmp_path, provider, form):
    """What onnxruntime itself makes of an 8-bit file when it opens it, with Add and without."""
    from onnxruntime import SessionOptions

    fp32, int8, seen = (tmp_path / f"{name}.onnx" for name in ("fp32", "int8", "seen"))
    write_onnx(model, fp32, opset=18, form=form, provider=provider)
    quantize(fp32, int8, RECIPES[0], "u8")
    options = SessionOptions()
    options.optimized_model_filepath = str(seen)
    InferenceSession(str(int8), options, providers=["CPUExecutionProvider"])
    nodes = inspect(seen).nodes
    assert ("SkipLayerNormalization" in nodes) is (provider == "cuda" and form == "packed")
    assert nodes["DynamicQuantizeMatMul"] > 0
    assert nodes["Gelu"] == 1, "its bias is part of the product before"
    if form != "packed":
        assert nodes["Sub"] == inspect(fp32).nodes["Sub"] - 1
        InferenceSession(str(fp32), options, providers=["CPUExecutionProvider"])
        assert "BiasGelu" not in inspect(seen).nodes


def test_a_place_beyond_the_table_is_an_error(graphs, model):
    too_long = np.ones((1, model.config.max_position_embeddings + 1), dtype=np.int64)
    session = InferenceSession(str(graphs["lean"]), providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, {i.name: too_long for i in session.get_inputs()})


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_eight_bits_stay_near(graphs, tmp_path, recipe, form):
    file = tmp_path / "q.onnx"
    text = calibration_batches(ROWS, pad_id=0)
    quantize(graphs[form], file, recipe, "u8", calibration=text)
    assert inspect(file).precision == "int8"
    assert np.abs(logits(file) - logits(graphs[form])).max() < 0.5
    assert np.abs(logits(file) - logits(graphs[form])).max() > 0


def test_static_needs_text(graphs, tmp_path):
    with pytest.raises(ValueError, match="calibrate"):
        quantize(graphs["plain"], tmp_path / "q.onnx", Recipe("static", True), "u8")


@pytest.mark.parametrize("form", FORMS)
def test_products_of_every_form_know_their_layer(graphs, form):
    assert list(by_layer(products(graphs[form]))) == ["layer 0", "layer 2", "head"]


def test_kept_nodes_stay_fp32(graphs, tmp_path):
    layers = by_layer(products(graphs["plain"]))
    file = tmp_path / "q.onnx"
    every = [node for nodes in layers.values() for node in nodes]
    quantize(graphs["plain"], file, RECIPES[0], "u8", keep=every)
    np.testing.assert_array_equal(logits(file), logits(graphs["plain"]))


def test_the_layer_that_suffers_most_comes_first(graphs, tmp_path):
    layers = by_layer(products(graphs["plain"]))

    def make(keep):
        file = tmp_path / "part.onnx"
        quantize(graphs["plain"], file, RECIPES[0], "u8", keep=keep)
        return file

    batches = layer_batches(ROWS, pad_id=0)
    order = most_sensitive_first(layers, source=graphs["plain"], make=make, batches=batches)
    errors = []
    for layer in order:
        keep = [node for other, own in layers.items() if other != layer for node in own]
        errors.append(((logits(make(keep)) - logits(graphs["plain"])) ** 2).mean())
    assert errors == sorted(errors, reverse=True) and errors[0] > 0


def test_layers_are_compared_where_the_graph_takes_no_token_types(tmp_path):
    source = tmp_path / "plain.onnx"
    write_onnx(load_model(str(save(tmp_path, "distilbert", "sequence"))), source, opset=18)
    layers = by_layer(products(source))

    def make(keep):
        quantize(source, tmp_path / "part.onnx", RECIPES[0], "u8", keep=keep)
        return tmp_path / "part.onnx"

    batches = layer_batches(ROWS, pad_id=0)
    order = most_sensitive_first(layers, source=source, make=make, batches=batches)
    assert sorted(order) == sorted(layers)


def test_half_precision_keeps_the_types_of_inputs_and_logits(graphs, tmp_path):
    file = tmp_path / "half.onnx"
    to_fp16(graphs["fused-skip"], file)
    assert inspect(file).precision == "fp16"
    assert logits(file).dtype == np.float32
    np.testing.assert_allclose(logits(file), logits(graphs["plain"]), atol=0.05)


def test_the_first_stays_unless_another_is_faster_beyond_noise(monkeypatch, graphs):
    times = {"plain": [1.0] * 8, "packed": [1.02] * 8, "fused": [0.5] * 8}

    def timed(workers, case, schedule, *, inputs):
        return {
            w.name: [[t * (1 + 0.001 * i)] for i, t in enumerate(times[w.name])] for w in workers
        }

    monkeypatch.setattr(candidates, "time_case", timed)
    files = {form: graphs[form] for form in times}
    conditions = Conditions("cpu", 1, (1,), (8,), FAST)
    ranking = rank(files, conditions)
    assert ranking.order == ["fused", "plain", "packed"] and ranking.fastest == ["fused"]
    times["fused"] = [0.5, 1.6] * 4  # faster by its median alone
    ranking = rank(files, conditions)
    assert ranking.order[0] == "plain" and ranking.fastest == ["plain", "fused"]


def test_a_trial_that_hides_a_good_gain_goes_on_with_the_files_in_doubt(monkeypatch, graphs):
    noisy = {"plain": [1.0] * 8, "packed": [1.0, 1.02] * 4, "fused": [0.5, 1.6] * 4}
    calm = {name: [t] * 8 for name, t in {"plain": 1.0, "packed": 1.0, "fused": 0.7}.items()}
    trials = iter([noisy, calm, calm, calm])
    asked = []

    def timed(workers, case, schedule, *, inputs):
        asked.append([worker.name for worker in workers])
        times = next(trials)
        return {name: [[t] for t in times[name]] for name in asked[-1]}

    monkeypatch.setattr(candidates, "time_case", timed)
    ranking = rank({form: graphs[form] for form in noisy}, Conditions("cpu", 1, (1,), (8,), FAST))
    assert asked[0] == ["plain", "packed", "fused"]
    assert asked[1:] == [["plain", "fused"]] * len(asked[1:]) and len(asked) > 1
    assert ranking.order[0] == "fused"
    row = ranking.rows[2]
    assert row.name == "fused" and row.interval[0] > 1 and row.p50_ms == 700.0


def test_a_file_that_stays_in_doubt_is_timed_a_few_times_and_not_chosen(monkeypatch, graphs):
    asked = []

    def timed(workers, case, schedule, *, inputs):
        asked.append([worker.name for worker in workers])
        return {
            w.name: [[t] for t in ([1.0, 1.0] if w.name == "plain" else [0.5, 1.6]) * 4]
            for w in workers
        }

    monkeypatch.setattr(candidates, "time_case", timed)
    files = {form: graphs[form] for form in ("plain", "fused")}
    assert rank(files, Conditions("cpu", 1, (1,), (8,), FAST)).order == ["plain", "fused"]
    assert asked == [["plain", "fused"]] * candidates.TRIALS


def timing(name):
    """Return a timing of a graph that is as fast as the first one."""
    equal = {"case": "b1-s8", "p50_ms": 1.0, "vs": name, "ratio": 1.0, "interval": (1.0, 1.0)}
    return Candidate(name=name, **equal)


def test_the_dense_model_gets_the_form_that_is_fastest_for_it(finished, tmp_path, monkeypatch):
    first = iter(["fused", "packed"])

    def rank(files, conditions):
        form = next(first)
        return Ranking(sorted(files, key=lambda name: name != form), [timing(form)])

    monkeypatch.setattr(candidates, "rank", rank)
    models = export(finished, output=tmp_path / "onnx").models
    assert {name: row.form for name, row in models.items()} == {"model": "fused", "dense": "packed"}
    assert [row.name for row in models["dense"].candidates] == ["packed"]
    assert "Attention" in inspect(tmp_path / "onnx" / "model.onnx").nodes
    assert "Attention" not in inspect(tmp_path / "onnx" / "dense.onnx").nodes


def test_the_fastest_form_is_kept_for_both_models(finished, tmp_path, monkeypatch):
    def fused_wins(files, conditions):
        return Ranking(["fused", "plain", "packed"], [timing(name) for name in files])

    monkeypatch.setattr(candidates, "rank", fused_wins)
    report = export(finished, output=tmp_path / "onnx")
    assert report.graph == "fused"
    assert {row.form for row in report.models.values()} == {"fused"}
    assert len(report.models["model"].candidates) == 5
    assert "Attention" in inspect(tmp_path / "onnx" / "dense.onnx").nodes
    assert not (tmp_path / "onnx" / ".candidates").exists()
    portable = export(finished, output=tmp_path / "onnx", graph="packed", portable=True)
    assert portable.graph == "packed"


def blocks_win(files, conditions):
    """Let the smallest blocks that are tried be the fastest."""
    order = sorted(files, key=lambda name: ("blocks" not in name, len(name)))
    return Ranking(order, [timing(name) for name in files])


def test_large_batches_are_tried_in_blocks(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "rank", blocks_win)
    options = {"batch": (1, 32), "seq_len": (32,), "threads": 1, "max_drop": 100.0}
    report = export(finished, output=tmp_path / "onnx", precision="int8", **options)
    rows = report.models
    assert {row.block_tokens for row in rows.values()} == {512}  # 1,024 is all of the batch
    assert all("Loop" in inspect(tmp_path / "onnx" / row.file).nodes for row in rows.values())
    assert all(row.score is not None for row in rows.values())
    cases = rows["model"].parity.cases
    assert max(case.batch * case.seq_len for case in cases) > 2 * 512
    tried = [row.name for row in rows["model"].candidates]
    assert tried[-1].endswith("blocks of 512 tokens") and tried[-2] + ", " in tried[-1] + ", "
    assert [row.name for row in rows["model_int8"].candidates][-1].endswith("512 tokens")
    found = resolve_targets([tmp_path / "onnx"], baseline=None, exporter=export)
    assert {m.name: m.form for m in found.models}["model"] == tried[-1]
    assert f"| fp32 | {tried[-1]} |" in (tmp_path / "onnx" / "README.md").read_text()


def test_graphs_that_tie_are_tried_in_blocks_too(finished, tmp_path, monkeypatch):
    seen = []

    def ties(files, conditions):
        seen.append(list(files))
        order = sorted(files, key=lambda name: ("blocks" not in name, "fused" not in name))
        return Ranking(order, [timing(name) for name in files], ["lean", "plain"])

    monkeypatch.setattr(candidates, "rank", ties)
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    options = {"batch": (64,), "seq_len": (32,), "threads": 1, "max_drop": 100.0}
    report = export(finished, output=tmp_path / "onnx", **options)
    of_blocks = [f"{form}, blocks of {n} tokens" for form in ("fused", "lean") for n in (512, 1024)]
    assert seen[1] == ["fused", *of_blocks]
    assert {(row.form, row.block_tokens) for row in report.models.values()} == {("fused", 512)}


@pytest.mark.parametrize("losing", ["fused", "nothing"])
def test_of_8_bits_that_tie_the_first_in_blocks_that_holds_is_kept(
    finished, tmp_path, monkeypatch, losing
):
    lean, fused = (f"{form}, {RECIPES[0].name}" for form in ("lean", "fused"))
    scored = acceptance.score_model

    def ties(files, conditions):
        places = [fused, lean] if any("blocks" in name for name in files) else [lean]
        order = sorted(files, key=lambda name: ("blocks" not in name, not name.startswith(lean)))
        order.sort(key=lambda name: "blocks" not in name or not name.startswith(places[0]))
        return Ranking(
            order, [timing(name) for name in files], [fused] * ({lean, fused} <= files.keys())
        )

    def score(worker, model, dev):
        nodes = model.graph.nodes
        is_lost = model.graph.precision == "int8" and "Loop" in nodes and "QAttention" in nodes
        drop = 5.0 if losing == "fused" and is_lost else 0.0
        return scored(worker, model, dev).model_copy(update={"score": 80.0 - drop})

    monkeypatch.setattr(candidates, "rank", ties)
    monkeypatch.setattr(acceptance, "score_model", score)
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    options = {"batch": (64,), "seq_len": (32,), "threads": 1, "precision": "int8"}
    rows = export(finished, output=tmp_path / "onnx", **options).models
    kept = "lean" if losing == "fused" else "fused"
    assert {(rows[name].form, rows[name].block_tokens) for name in rows if "int8" in name} == {
        (kept, 512)
    }


@pytest.mark.parametrize(
    "options",
    [
        {"batch": (1,), "seq_len": (32,), "threads": 1},  # one row
        {"batch": (32,), "seq_len": (32,), "threads": 2},  # not more than a block
        {"batch": (64,), "seq_len": (32,), "threads": 1, "graph": "lean"},  # asked for otherwise
    ],
)
def test_others_are_not(finished, tmp_path, monkeypatch, options):
    monkeypatch.setattr(candidates, "rank", blocks_win)
    report = export(finished, output=tmp_path / "onnx", **options)
    assert all(row.block_tokens is None for row in report.models.values())


def test_blocks_that_are_no_faster_are_not_kept(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "rank", lambda files, _: Ranking(list(files), [timing("a")]))
    options = {"batch": (64,), "seq_len": (32,), "threads": 1}
    report = export(finished, output=tmp_path / "onnx", **options)
    assert all(row.block_tokens is None for row in report.models.values())
    assert len(report.models["model"].candidates) == 2  # the forms, the blocks


def test_blocks_that_lose_rows_are_left_out(finished, tmp_path, monkeypatch):
    def lossy(source, target, tokens, **known):
        in_blocks(source, target, tokens, **known)
        graph = onnx.load(str(target))
        body = next(n for n in graph.graph.node if n.op_type == "Loop").attribute[0].g
        end = next(n for n in body.node if n.output[0] == "block/to")
        end.input[1] = "block/1"  # one row of each block
        onnx.save(graph, str(target))

    monkeypatch.setattr(candidates, "rank", blocks_win)
    monkeypatch.setattr(blocks, "in_blocks", lossy)
    options = {"batch": (64,), "seq_len": (32,), "threads": 1}
    report = export(finished, output=tmp_path / "onnx", **options)
    assert all(row.block_tokens is None for row in report.models.values())
    assert "Loop" not in inspect(tmp_path / "onnx" / "model.onnx").nodes
    for file in ("model.onnx", "dense.onnx"):
        (note,) = (n for n in report.notes if "blocks of 512 tokens' is left" in n and file in n)
        assert "disagree" in note


def test_blocks_of_8_bits_keep_the_score_or_go(finished, tmp_path, monkeypatch):
    score = acceptance.score_model

    def scored(worker, model, dev):
        row = score(worker, model, dev)
        is_hurt = model.graph.precision == "int8" and "Loop" in model.graph.nodes
        return row.model_copy(update={"score": row.score - 30.0 * is_hurt})  # a row is worth 5

    monkeypatch.setattr(candidates, "rank", blocks_win)
    monkeypatch.setattr(acceptance, "score_model", scored)
    options = {"batch": (64,), "seq_len": (32,), "threads": 1, "max_drop": 20.0}
    report = export(finished, output=tmp_path / "onnx", precision="int8", **options)
    rows = report.models
    assert sum("left out: it scores" in note for note in report.notes) == 2
    assert rows["model"].block_tokens and rows["dense"].block_tokens
    assert {rows[f"{name}_int8"].block_tokens for name in ("model", "dense")} == {None}


def test_each_graph_is_traced_once_and_the_dev_set_read_once(finished, tmp_path, monkeypatch):
    traced, read = [], []
    write, encode = graphs_module.write_onnx, Task.encode

    def counted(model, file, **options):
        traced.append((id(model), options["form"]))
        write(model, file, **options)

    def noted(self, split, *arguments, **options):
        read.append((split, options.get("limit")))
        return encode(self, split, *arguments, **options)

    monkeypatch.setattr(graphs_module, "write_onnx", counted)
    monkeypatch.setattr(candidates, "rank", lambda files, _: Ranking(list(files), []))
    monkeypatch.setattr(Task, "encode", noted)
    report = export(finished, output=tmp_path / "onnx", precision="int8", max_drop=100.0)
    assert len(traced) == len(set(traced)) == 2 * 5  # both models' forms
    assert read.count(("validation", None)) == 1
    assert all(row.score is not None for row in report.models.values())
    assert not (tmp_path / "onnx" / ".candidates").exists()


def test_a_form_that_is_another_function_is_left_out_of_both_precisions(
    finished, tmp_path, monkeypatch
):
    check = graphs_module.check_parity

    def strict(model, file, rows, *, name, tolerance, block):
        return check(model, file, rows, name=name, tolerance=-1.0 if "lean" in name else tolerance)

    monkeypatch.setattr(graphs_module, "check_parity", strict)
    monkeypatch.setattr(candidates, "rank", lambda files, _: Ranking(list(files)[::-1], []))
    report = export(finished, output=tmp_path / "onnx", precision="int8", max_drop=100.0)
    assert {row.form for row in report.models.values()} <= {"plain", "packed", "fused"}
    assert sum("Graph 'lean" in note for note in report.notes) == 2 * 2


def test_the_dense_model_is_in_8_bits_what_is_fastest_for_it(finished, tmp_path, monkeypatch):
    def preferring(files, conditions):
        is_dense = all(file.name.startswith("dense") for file in files.values())
        own = "plain" if is_dense else "fused"
        order = sorted(files, key=lambda name: not name.startswith(own))
        return Ranking(order, [timing(name) for name in files])

    monkeypatch.setattr(candidates, "rank", preferring)
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    report = export(finished, output=tmp_path / "onnx", precision="int8", max_drop=100.0)
    rows = report.models
    assert {rows[name].form for name in ("model", "model_int8")} == {"fused"}
    assert {rows[name].form for name in ("dense", "dense_int8")} == {"plain"}
    shown = {f"{form}, dynamic-channel" for form in ("fused", "plain")}
    assert {row.name for row in rows["dense_int8"].candidates} == shown
    assert rows["dense_int8"].recipe == rows["model_int8"].recipe


def test_a_form_that_the_teacher_loses_is_left_out_for_it_alone(finished, tmp_path, monkeypatch):
    check = graphs_module.check_parity

    def strict(model, file, rows, *, name, tolerance, block):
        return check(
            model,
            file,
            rows,
            name=name,
            tolerance=-1.0 if "lean" in str(file) and "dense" in name else tolerance,
        )

    monkeypatch.setattr(graphs_module, "check_parity", strict)
    monkeypatch.setattr(candidates, "rank", lambda files, _: Ranking(list(files)[::-1], []))
    report = export(finished, output=tmp_path / "onnx", precision="int8", max_drop=100.0)
    rows = report.models
    assert (rows["model"].form, rows["model_int8"].form) == ("lean-fused", "lean")
    assert {rows[name].form for name in ("dense", "dense_int8")} == {"fused"}
    assert sum("Graph 'lean-fused' is left out" in note for note in report.notes) == 1


def test_a_form_that_a_gpu_answers_otherwise_is_left_out(finished, tmp_path, monkeypatch, gpu):
    check = acceptance.check_on_gpu

    def strict(model, file, rows, *, threads):
        if "fused-skip" in file.name:
            raise CofiError("On the GPU they disagree.", exit_code=PARITY)
        return check(model, file, rows, threads=threads)

    def skip_wins(files, _):
        return Ranking(sorted(files, key=lambda name: name != "fused-skip"), [timing("plain")])

    monkeypatch.setattr(acceptance, "check_on_gpu", strict)
    monkeypatch.setattr(candidates, "rank", skip_wins)
    report = export(finished, output=tmp_path / "onnx", provider="cuda")
    assert report.models["model"].form == "plain"
    assert report.models["model"].parity_on_gpu is not None
    assert "Graph 'fused-skip' is left out: On the GPU they disagree." in report.notes


def test_what_one_file_cannot_hold(finished, tmp_path, monkeypatch):
    """The teacher is left out; the export is as fresh as can be."""
    sizes = [
        sum(tensor.nbytes for tensor in load_model(str(place)).state_dict().values())
        for place in (RunDir(finished).model, RunDir(finished).teacher)
    ]
    monkeypatch.setattr(export_module, "LARGEST_FILE", sum(sizes) / 2)
    report = export(finished, output=tmp_path / "onnx", graph="plain")
    assert set(report.models) == {"model"} and set(report.left_out) == {"dense"}
    assert any("dense.onnx is left out: its weights take" in note for note in report.notes)
    assert is_fresh(finished, tmp_path / "onnx")
    monkeypatch.setattr(export_module, "LARGEST_FILE", min(sizes))
    with pytest.raises(CofiError, match="cannot be exported: its weights take") as caught:
        export(finished, output=tmp_path / "onnx", graph="plain")
    assert caught.value.exit_code == 2
    assert read_json(tmp_path / "onnx" / "export.json") == report.as_json()


def test_int8_that_cannot_be_had_leaves_auto_its_fp32(finished, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise CofiError("A worker was killed.", exit_code=ENVIRONMENT)

    monkeypatch.setattr(int8, "quantize", broken)
    wish = {"output": tmp_path / "onnx", "graph": "plain"}
    report = export(finished, precision="auto", **wish)
    assert set(report.models) == {"model", "dense"} and report.picked == "model.onnx"
    assert any(note.startswith("int8 is left out: onnxruntime could") for note in report.notes)
    with pytest.raises(CofiError) as caught:
        export(finished, precision="int8", **wish)
    assert caught.value.exit_code == ENVIRONMENT


def test_int8_files_make_the_runtime_say_nothing(graphs, tmp_path, capfd):
    for form in ("lean", "lean-fused"):
        for recipe in RECIPES[:2]:
            quantize(graphs[form], tmp_path / "q.onnx", recipe, "u8")
            InferenceSession(str(tmp_path / "q.onnx"), providers=["CPUExecutionProvider"])
    assert "Removing initializer" not in capfd.readouterr().err


def test_int8_beside_fp32_scored_and_timed(finished, tmp_path):
    out = tmp_path / "onnx"
    report = export(finished, output=out, precision="int8", graph="packed", schedule=FAST)
    assert set(report.models) == {"model", "dense", "model_int8", "dense_int8"}
    assert all(row.score is not None for row in report.models.values())
    row = report.models["model_int8"]
    assert row.file == "model_int8.onnx" and (out / row.file).exists()
    assert {c.name for c in row.candidates} == {f"packed, {r.name}" for r in RECIPES}
    assert report.models["model"].score - row.score <= 0.5
    assert read_json(out / "export.json") == report.as_json()


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("holds", [True, False])
def test_the_dense_model_gets_the_fastest_recipe_whatever_the_score(
    finished, tmp_path, monkeypatch, holds, batch
):
    def score(worker, model, dev):
        is_hurt = "dynamic-tensor" in model.path.name and not holds
        return score_row(score=50.0 if is_hurt else 80.0)

    def fastest(files, _):
        order = sorted(files, key=lambda n: ("blocks" not in n, "dynamic-tensor" not in n, len(n)))
        return Ranking(order, [])

    monkeypatch.setattr(acceptance, "score_model", score)
    monkeypatch.setattr(candidates, "rank", fastest)
    wish = {"batch": (batch,), "seq_len": (32,), "threads": 1}
    report = export(finished, output=tmp_path / "onnx", precision="int8", **wish)
    ours, theirs = report.models["model_int8"], report.models["dense_int8"]
    assert theirs.recipe == "dynamic-tensor"
    assert (ours.recipe == "dynamic-tensor") is holds
    assert ours.block_tokens == theirs.block_tokens == (None if batch == 1 else 512)


@pytest.mark.parametrize("form", ["plain", "lean", "lean-fused"])
def test_int8_that_loses_too_much_falls_back_layer_by_layer(finished, tmp_path, monkeypatch, form):
    """A task that hangs on layer 2 in full precision."""

    def score(worker, model, dev):
        nodes = onnx.load(str(model.path)).graph.node
        is_hurt = any(
            "layers.2" in n.name and n.op_type in ("MatMulInteger", "QAttention") for n in nodes
        )
        return score_row(score=50.0 if is_hurt else 80.0)

    monkeypatch.setattr(acceptance, "score_model", score)
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    order = ["layer 0", "layer 2", "head"]
    monkeypatch.setattr(fallback, "most_sensitive_first", lambda *_, **__: order)
    report = export(finished, output=tmp_path / "onnx", precision="int8", graph=form, schedule=FAST)
    row = report.models["model_int8"]
    assert row.fp32_layers == ["layer 0", "layer 2"]
    assert inspect(tmp_path / "onnx" / "model_int8.onnx").precision == "int8"
    assert (row.score, report.models["model"].score) == (80.0, 80.0)
    (note,) = [note for note in report.notes if "layer 2" in note]
    assert note.endswith("were timed before that, with every layer in 8 bits.")
    assert "int8 (dynamic-channel; fp32: layer 0, layer 2)" in (
        tmp_path / "onnx" / "README.md"
    ).read_text(encoding="utf-8")


def test_int8_that_holds_in_no_layer_is_not_called_int8(finished, tmp_path, monkeypatch):
    def score(worker, model, dev):
        is_hurt = any(n.op_type == "MatMulInteger" for n in onnx.load(str(model.path)).graph.node)
        return score_row(score=50.0 if is_hurt else 80.0)

    monkeypatch.setattr(acceptance, "score_model", score)
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    out, wish = tmp_path / "onnx", {"graph": "plain", "schedule": FAST}
    with pytest.raises(CofiError, match=r"int8 scores 50.00, needed are 79\.50") as caught:
        export(finished, output=out, precision="int8", **wish)
    assert caught.value.exit_code == PARITY and "--max-drop" in caught.value.hint
    assert not out.exists()
    report = export(finished, output=out, precision="auto", **wish)
    assert set(report.models) == {"model", "dense"} and report.picked == "model.onnx"
    assert not list(out.glob("*int8*"))
    assert any(note.startswith("int8 is left out: int8 scores 50.00") for note in report.notes)


def test_fp16_for_a_gpu_elsewhere(finished, tmp_path):
    """Nothing has to be timed when the graph is named, so no GPU is needed."""
    report = export(
        finished,
        output=tmp_path / "onnx",
        precision="fp16",
        provider="cuda",
        graph="fused-skip",
        max_drop=50.0,
    )
    rows = report.models
    assert rows["model_fp16"].nodes["SkipLayerNormalization"] == 3
    assert rows["model_fp16"].bytes < 0.7 * rows["model"].bytes
    assert rows["model"].parity_on_gpu is None
    assert any("Scored and compared on the processor" in note for note in report.notes)


@pytest.fixture
def gpu(monkeypatch):
    """The processor answers for the GPU, so that all but the kernels runs."""
    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")


def test_fp16_has_a_choice_of_its_own_on_a_gpu(finished, tmp_path, monkeypatch, gpu):
    def other_half(files, conditions):
        is_half = all(file.suffixes == [".fp16", ".onnx"] for file in files.values())
        order = ["fused" if is_half else "fused-skip"]
        return Ranking([*order, *files], [timing(name) for name in files])

    monkeypatch.setattr(candidates, "rank", other_half)
    report = export(
        finished, output=tmp_path / "onnx", precision="fp16", provider="cuda", max_drop=50.0
    )
    rows = report.models
    assert [row.name for row in rows["model_fp16"].candidates] == list(ON_GPU)
    assert {rows[name].form for name in ("model", "dense")} == {"fused-skip"}
    assert {rows[name].form for name in ("model_fp16", "dense_fp16")} == {"fused"}
    for name in ("model", "model_fp16"):
        proof = rows[name].parity_on_gpu
        assert 0 <= proof.max_abs_delta <= proof.allowed == pytest.approx(0.02, rel=0.5)


def test_a_named_graph_is_compared_on_a_gpu_that_is_there(finished, tmp_path, gpu):
    report = export(finished, output=tmp_path / "onnx", provider="cuda", graph="fused-skip")
    assert report.models["model"].parity_on_gpu is not None


def test_portable_on_a_gpu(finished, tmp_path, gpu):
    report = export(
        finished, output=tmp_path / "onnx", provider="cuda", portable=True, schedule=FAST
    )
    tried = {row.name for row in report.models["model"].candidates}
    assert tried == {name for name, form in FORMS.items() if form.is_portable}


def test_other_kernels_that_answer_otherwise_are_refused(model, graphs, tmp_path, gpu):
    check_on_gpu(model, graphs["fused-skip"], ROWS, threads=1)
    spoilt = onnx.load(str(graphs["fused-skip"]))
    bias = next(t for t in spoilt.graph.initializer if t.name.endswith("classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 0.1, bias.name))
    onnx.save(spoilt, str(tmp_path / "spoilt.onnx"))
    with pytest.raises(CofiError, match=r"On the GPU spoilt.onnx and torch disagree by 1\.0") as e:
        check_on_gpu(model, tmp_path / "spoilt.onnx", ROWS, threads=1)
    assert e.value.exit_code == PARITY


@pytest.mark.parametrize(
    ("mask", "is_answered"),
    [
        ([1, 1, 1, 1], True),
        ([1, 1, 0, 0], True),
        ([0, 0, 1, 1], False),
        ([1, 0, 1, 1], False),
        ([0, 0, 0, 0], True),
    ],
)
def test_lengths_say_so_where_padding_is_not_on_the_right(graphs, mask, is_answered):
    """The row beside it is answered as ever."""
    ids = np.array([[2, 5, 6, 3]] * 2, dtype=np.int64)
    feed = {"input_ids": ids, "attention_mask": np.array([mask, [1, 1, 1, 1]], dtype=np.int64)}
    both = []
    for form in ("plain", "fused-lengths"):
        session = InferenceSession(str(graphs[form]), providers=["CPUExecutionProvider"])
        taken = {i.name: feed.get(i.name, np.zeros_like(ids)) for i in session.get_inputs()}
        both.append(session.run(None, taken)[0])
    np.testing.assert_allclose(both[0][1], both[1][1], atol=1e-5)
    assert np.isfinite(both[1][0]).all() == is_answered
    if is_answered and any(mask):
        np.testing.assert_allclose(both[0][0], both[1][0], atol=1e-5)


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("half", [False, True])
def test_more_tokens_than_positions_are_not_answered(model, tmp_path, form, provider, half):
    """A GPU's kernels look at no bounds, so that its graphs do; a processor's look themselves.

    The graph is told of 8 positions where the table has more, for a processor to come so far.
    """
    short = copy.deepcopy(model)
    short.config.max_position_embeddings = 8
    file = tmp_path / "a.onnx"
    write_onnx(short, file, opset=18, form=form, provider=provider)
    if half:
        to_fp16(file, file)
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for tokens in (8, 9):
        feed = {i.name: np.ones((2, tokens), dtype=np.int64) for i in session.get_inputs()}
        feed["token_type_ids"] *= 0
        is_guarded = provider == "cuda" or form in SKIP
        answer = session.run(None, feed)[0]
        assert np.isnan(answer).all() if is_guarded and tokens == 9 else np.isfinite(answer).all()


def test_the_guard_counts_tokens():
    traced = Traced.__new__(Traced)
    torch.nn.Module.__init__(traced)
    given = (torch.ones(2, 3), torch.ones(2, 5, 3))
    for by_length, limit in ((False, 5), (False, 4), (True, 5), (True, 4), (True, None)):
        traced.by_length, traced.longest = by_length, limit
        mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
        for answer in traced._guarded(given, mask):
            assert answer.isnan().all() if limit == 4 else answer.isfinite().all()
    traced.longest = 5
    pooled, last = traced._guarded(given, torch.tensor([[1, 0, 1, 0, 0], [1, 1, 0, 0, 0]]))
    for answer in (pooled, last):
        assert answer[0].isnan().all() and answer[1].isfinite().all()


def test_a_tokenizer_that_pads_on_the_left_leaves_lengths_out(finished, tmp_path, gpu, monkeypatch):
    left = load_tokenizer(str(RunDir(finished).model))
    left.padding_side = "left"
    monkeypatch.setattr("cofi_cli.exporting.export.load_tokenizer", lambda name: left)
    report = export(finished, output=tmp_path / "onnx", provider="cuda", schedule=FAST)
    assert any("does not pad on the right" in note for note in report.notes)
    assert "fused-lengths" not in {row.name for row in report.models["model"].candidates}


def test_one_attention_that_asks_for_one_token_has_no_fused_lean_form(model, graphs):
    config = copy.copy(model.config)
    assert not is_another(model, "lean-fused")
    one = copy.copy(model)
    one.config, config.layer_heads = config, [3, 0, 0]
    assert is_another(one, "lean-fused") and not is_another(one, "fused")


def test_lengths_are_for_heads_that_read_the_first_token(tmp_path):
    folder = save(tmp_path / "bert", "bert", "token")
    why = unsupported(load_model(str(folder)), "fused-lengths")
    assert why == "its head reads more than the first token"


def test_a_recipe_that_onnxruntime_refuses_is_left_out(finished, tmp_path, monkeypatch):
    real = int8.quantize

    def picky(source, target, recipe, activations, **options):
        if recipe.method == "static":
            raise RuntimeError("no such luck")
        real(source, target, recipe, activations, **options)

    monkeypatch.setattr(int8, "quantize", picky)
    report = export(
        finished, output=tmp_path / "onnx", precision="int8", graph="plain", schedule=FAST
    )
    assert any("static-channel' is left out: no such luck" in note for note in report.notes)


def test_auto_picks_the_fastest_that_keeps_the_score(finished, tmp_path, monkeypatch):
    score = acceptance.score_model

    def lossy(worker, model, dev):
        lost = 5.0 if model.graph.precision == "int8" else 0.0
        row = score(worker, model, dev)
        return row.model_copy(update={"score": row.score - lost})

    def int8_wins(files, _):
        order = sorted(files, key=lambda name: "int8" not in name)
        return Ranking(order, [timing(name) for name in files])

    monkeypatch.setattr(acceptance, "score_model", lossy)
    monkeypatch.setattr(candidates, "rank", int8_wins)
    wish = {"precision": "auto", "graph": "plain"}
    kept = export(finished, output=tmp_path / "kept", max_drop=6.0, **wish)
    assert kept.picked == "model_int8.onnx"
    assert [row.name for row in kept.candidates] == ["model.onnx", "model_int8.onnx"]
    lost = export(finished, output=tmp_path / "lost", max_drop=4.0, **wish)
    assert lost.picked == "model.onnx" and "model_int8" not in lost.models


@pytest.fixture
def reviews(finished, tmp_path):
    """The run's rows with the labels of sst2."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        text = (finished.parent / name).read_text(encoding="utf-8")
        text = re.sub("neg$", "negative", re.sub("pos$", "positive", text, flags=re.M), flags=re.M)
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def test_a_model_folder_is_scored_on_a_task_that_is_named(finished, tmp_path, reviews):
    folder = tmp_path / "model"
    shutil.copytree(RunDir(finished).model, folder)
    wish = {"precision": "int8", "graph": "plain", "max_drop": 50.0, "schedule": FAST}
    named = {"task": "sst2", "data": reviews}
    report = export(str(folder), **wish, **named)
    own = export(finished, output=tmp_path / "of run", **wish)
    for name in ("model", "model_int8"):
        assert report.models[name].score == own.models[name].score
    assert f"--task sst2 --data {reviews}" in options_of(report.asked)
    (folder / "onnx" / "model.onnx").unlink()
    bench([folder], batch=[1], seq_len=[8], runs=1, max_seconds=1)
    assert ExportRecord.read(folder / "onnx" / "export.json").asked == report.asked


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"task": "mnli"}, "task 'mnli' needs a sequence head with 3, and the model has a seq"),
        ({"task": "sst3"}, "Unknown task 'sst3'"),
        ({"data": "somewhere"}, "data is 'somewhere', but no task is named."),
    ],
)
def test_tasks_that_cannot_be_scored_on(finished, tmp_path, monkeypatch, reviews, wish, words):
    real = named_task_module.named_task

    def mnli(name, data=None, **known):
        if name != "mnli":
            return real(name, data, **known)
        task = real("sst2", reviews, **known)
        return replace(task, name="mnli", labels=("a", "b", "c"))

    monkeypatch.setattr(order, "named_task", mnli)
    with pytest.raises(CofiError, match=re.escape(words)) as caught:
        export(finished, output=tmp_path / "onnx", **wish)
    assert caught.value.exit_code == 2 and not (tmp_path / "onnx").exists()


def test_what_has_no_score_is_not_picked(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "rank", lambda files, _: Ranking(list(files)[::-1], []))
    model = str(RunDir(finished).model)
    wish = {"output": tmp_path / "onnx", "graph": "plain"}
    report = export(model, precision="auto", **wish)
    assert report.picked == "model.onnx" and "model_int8" in report.models
    assert "model_int8.onnx could not be picked: it has no score." in report.notes
    words = "int8 is not scored: no task was named, and only a run has its own."
    assert words in report.notes
    with pytest.raises(
        CofiError, match="max_drop is 1, but there is nothing to score on"
    ) as caught:
        export(model, precision="int8", max_drop=1.0, **wish)
    assert caught.value.exit_code == 2 and "--max-drop" in caught.value.hint


def test_scores_can_be_turned_off(finished, tmp_path):
    report = export(
        finished, output=tmp_path / "onnx", graph="plain", precision="int8", score=False
    )
    assert {"model", "model_int8", "dense"} <= set(report.models)
    assert all(row.score is None for row in report.models.values())
    assert "int8 is not scored: scores are turned off." in report.notes
    assert "--no-score" in options_of(report.asked)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"graph": "fusd"}, "fused"),
        ({"score": False, "max_drop": 1.0}, "--max-drop judges scores, so leave --no-score out"),
        ({"graph": "fused", "portable": True}, "--portable takes standard operators only"),
        ({"precision": "int4"}, "int8"),
        ({"provider": "gpu"}, "cuda"),
        ({"seq_len": (33,)}, "at most 32 tokens"),
        ({"max_drop": -1.0}, "-1 is below 0"),
        ({"threads": 0}, "greater than or equal to 1"),
        ({"threads": 100_000}, "from 1 to"),
        ({"max_drop": float("inf")}, "'inf' is neither a number of points"),
        ({"precision": "fp16"}, "--provider cuda"),
        ({"precision": "int8", "provider": "cuda"}, "--provider cpu"),
    ],
)
def test_bad_wishes(finished, wish, words):
    with pytest.raises(CofiError) as caught:
        export(finished, **wish)
    assert caught.value.exit_code == 2
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_the_cards_example_runs_as_it_stands(finished, exported, monkeypatch):
    folder = RunDir(finished).onnx
    monkeypatch.chdir(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code, names)
    assert names["logits"].shape == (1, 2)
    assert "model.onnx | fp32" in card and "accuracy (dev)" in card


def test_the_folder_asks_for_no_trust(finished, exported):
    """transformers alone opens what is beside the graphs, in a process without cofi."""
    folder = RunDir(finished).onnx
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "bert" and "auto_map" not in config
    assert (config["layer_heads"], config["num_attention_heads"]) == ([3, 0, 1], 3)
    assert not list(folder.glob("*.py"))
    code = (
        "import sys; sys.modules['cofi_cli'] = None\n"
        "from transformers import AutoConfig, AutoTokenizer\n"
        f"config = AutoConfig.from_pretrained({str(folder)!r})\n"
        f"words = AutoTokenizer.from_pretrained({str(folder)!r})\n"
        "print(config.id2label[1], words('good film')['input_ids'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith("pos [2, ")


def test_forms_that_do_not_fit_a_model_are_left_out_with_a_reason(tmp_path):
    """ModernBERT rotates its queries and keys, and normalises before its sub-layers."""
    folder = save(tmp_path / "model", "modernbert", "sequence")
    tokenizer(tmp_path).save_pretrained(folder)
    report = export(folder, precision="int8", schedule=FAST)
    tried = {row.name for row in report.models["model"].candidates}
    assert tried == {"plain", "packed"}
    left = [note for note in report.notes if "is left out" in note]
    assert len(left) == 3 and "Graph 'lean' is left out: it is written for encoders" in left[0]
    with pytest.raises(CofiError, match="Graph 'fused' does not fit this model: onnxruntime's"):
        export(folder, graph="fused", schedule=FAST)


def has_int8_rows(file):
    return inspect(file).embeddings == "int8"


def test_int8_rows_go_with_int8_files_and_one_file_can_stand_alone(finished, tmp_path):
    wish = {"output": tmp_path / "onnx", "precision": "int8", "graph": "lean", "schedule": FAST}
    rows = export(finished, max_drop=100.0, **wish).models
    assert {name: row.embeddings for name, row in rows.items()} == {
        "model": "fp32",
        "dense": "fp32",
        "model_int8": "int8",
        "dense_int8": "int8",
    }
    report = export(finished, max_drop=100.0, one_file=True, **wish)
    (row,) = report.models.values()
    assert (row.file, row.precision) == ("model.onnx", "int8")
    assert [file.name for file in (tmp_path / "onnx").glob("*.onnx")] == ["model.onnx"]
    assert has_int8_rows(tmp_path / "onnx" / "model.onnx") and row.drop is not None
    assert set(report.left_out) == {"dense"} and is_fresh(finished, tmp_path / "onnx")
    assert options_of(report.asked).endswith("--one-file")


def test_int8_rows_of_fp32_files_are_judged_by_the_score(finished, tmp_path, monkeypatch):
    score = acceptance.score_model
    wish = {"output": tmp_path / "onnx", "graph": "plain"}
    report = export(finished, embeddings="int8", max_drop=100.0, **wish)
    row = report.models["model"]
    assert (row.precision, row.embeddings) == ("fp32", "int8")
    assert "fp32 (embeddings int8)" in (tmp_path / "onnx" / "README.md").read_text()

    def hurt(worker, model, dev):
        drop = 5.0 * has_int8_rows(model.path)
        return score(worker, model, dev).model_copy(update={"score": 80.0 - drop})

    monkeypatch.setattr(acceptance, "score_model", hurt)
    cost = r"int8 embeddings scores 75\.00, needed are 79\.50"
    with pytest.raises(CofiError, match=cost) as error:
        export(finished, embeddings="int8", **wish)
    assert error.value.exit_code == PARITY and "--embeddings fp32" in error.value.hint
    monkeypatch.setattr(int8, "RECIPES", RECIPES[:1])
    monkeypatch.setattr(fallback, "most_sensitive_first", lambda layers, **_: [*layers][::-1])
    row = export(finished, precision="int8", **wish).models["model_int8"]
    assert row.fp32_layers == ["embeddings"] and row.embeddings == "fp32"


def test_a_trimmed_vocabulary_for_all_models_of_a_run(finished, tmp_path, monkeypatch):
    file = tmp_path / "texts.txt"
    lines = [f"good {a} {b} film" for a in ("bad", "fine", "the", "is") for b in "abcdefghij"]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    wish = {"output": tmp_path / "onnx", "graph": "plain", "text": str(file)}
    report = export(finished, vocab="auto", max_drop=100.0, **wish)
    known = report.vocabulary
    assert known.held_out.growth < 0.02 and known.smallest <= known.pieces
    for name in ("model", "dense"):
        assert inspect(tmp_path / "onnx" / f"{name}.onnx").vocab == known.pieces
    assert len(load_tokenizer(str(tmp_path / "onnx"))) == known.pieces
    assert is_fresh(finished, tmp_path / "onnx") and report.models["model"].drop is not None
    assert "The vocabulary is trimmed" in (tmp_path / "onnx" / "README.md").read_text()
    assert f"--vocab auto --text {file}" in options_of(report.asked)
    monkeypatch.setattr(export_module, "score_of", lambda *_, **__: score_row(score=101.0))
    with pytest.raises(
        CofiError, match="With the smaller table of word vectors the model"
    ) as error:
        export(finished, vocab="auto", **wish)
    assert error.value.exit_code == PARITY
    with pytest.raises(CofiError, match="--text is for choosing a vocabulary"):
        export(finished, **wish)
    file.write_text("\n \n", encoding="utf-8")
    with pytest.raises(CofiError, match="has no texts"):
        export(finished, vocab="auto", **wish)
    with pytest.raises(CofiError, match="There is no text to choose a vocabulary by"):
        export(RunDir(finished).model, output=tmp_path / "onnx", vocab=8000)


def test_position_rows_beyond_the_longest_row_go(finished, tmp_path):
    out, form = tmp_path / "onnx", "lean"
    whole = export(finished, output=out, graph=form).models["model"]
    own = export(finished, output=out, graph=form, max_length=14).models["model"]
    assert own.score == whole.score, "the rows of the task have fewer tokens"
    assert whole.bytes - own.bytes >= 18 * 29 * 4
    assert "take rows of at most 14 tokens" in (out / "README.md").read_text()
    assert len(load_tokenizer(str(out))("good " * 40, truncation=True)["input_ids"]) == 14
    assert read_json(out / "config.json")["max_position_embeddings"] == 14
    for wrong in (1, 33):
        with pytest.raises(CofiError, match=f"max_length is {wrong}; the model takes 2 to 32"):
            export(finished, output=out, graph=form, max_length=wrong)
