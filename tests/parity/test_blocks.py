"""A graph that takes its rows in blocks answers as the one that takes them at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession, SessionOptions

from cofi_cli.architectures import load_dense
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.graphs.blocks import in_blocks
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import check_parity, open_session, parity_batches
from cofi_cli.exporting.precision.quantization import (
    RECIPES,
    Recipe,
    calibration_batches,
    products,
    quantize,
)
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import graph_name
from cofi_cli.runtime.inputs import Rows, pad, synthetic_rows
from cofi_cli.runtime.inspection import inspect
from tests.architectures import HEADS, LABELS, save

TOKENS = 24
"""In a block: 3 rows of 8 tokens, and not one row of 30."""
ROWS = synthetic_rows(vocab=15, longest=32)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a graph for each kind of head."""
    files = {}
    for head in HEADS:
        folder = tmp_path_factory.mktemp(head)
        model = load_dense(
            str(save(folder / "m", "bert", head)), num_labels=LABELS[head], head=head
        )
        model.config._attn_implementation = "eager"
        files[head] = folder / "model.onnx"
        write_onnx(model.eval(), files[head], opset=18, form="lean-fused")
    return files


def feed(batch: int, length: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return rows of uneven lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 15, (batch, length))
    mask = (np.arange(length) < rng.integers(1, length + 1, (batch, 1))).astype(np.int64)
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": rng.integers(0, 2, (batch, length)),
    }


def classifier(folder: Path) -> CofiForTask:
    """Return a tiny classifier to trace."""
    model = load_dense(str(save(folder / "m", "bert", "sequence")), num_labels=3).eval()
    model.config._attn_implementation = "eager"
    return model


def body_of(file: Path) -> onnx.GraphProto:
    """Return what the loop of a file repeats."""
    nodes = onnx.load(str(file)).graph.node
    return next(node for node in nodes if node.op_type == "Loop").attribute[0].g


def fused(file: Path) -> dict[str, int]:
    """Return how many operators of its own onnxruntime makes of a file when it loads it."""
    options = SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(file.with_suffix(".optimized.onnx"))
    InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(options.optimized_model_filepath).graph
    graphs = [
        optimized,
        *(node.attribute[0].g for node in optimized.node if node.op_type == "Loop"),
    ]
    nodes = [node for graph in graphs for node in graph.node]
    return Counter(node.op_type for node in nodes if node.domain == "com.microsoft")


@pytest.mark.parametrize(("batch", "length"), [(1, 8), (3, 8), (6, 8), (7, 8), (2, 30), (5, 30)])
@pytest.mark.parametrize("head", HEADS)
def test_same_answers(
    head: str, batch: int, length: int, sources: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "blocks.onnx"
    in_blocks(sources[head], file, TOKENS)
    onnx.checker.check_model(str(file), full_check=True)
    before, after = open_session(sources[head]), open_session(file)
    for ends in ("get_inputs", "get_outputs"):
        of = [[(v.name, v.type, v.shape) for v in getattr(s, ends)()] for s in (before, after)]
        assert of[0] == of[1]
    inputs = feed(batch, length)
    for expected, found in zip(before.run(None, inputs), after.run(None, inputs), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


def test_no_operator_sees_more_rows_than_a_block_has(
    sources: dict[str, Path], tmp_path: Path
) -> None:
    """The largest tensor of the old graph, asked for as an output, has a block's rows."""
    file, seen = tmp_path / "blocks.onnx", tmp_path / "seen.onnx"
    source = onnx.load(str(sources["sequence"]))
    first = next(n for n in source.graph.node if n.op_type == "LayerNormalization").output[0]
    shape = onnx.helper.make_node("Shape", [first], ["shape"])
    shape_row = onnx.helper.make_node("Unsqueeze", ["shape", "axis"], ["seen"])
    source.graph.node.extend([shape, shape_row])
    axis = onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "axis")
    source.graph.initializer.append(axis)
    value = onnx.helper.make_tensor_value_info("seen", onnx.TensorProto.INT64, [None, 3])
    source.graph.output.append(value)
    onnx.save(source, str(seen))
    in_blocks(seen, file, TOKENS)
    blocks = open_session(file).run(["seen"], feed(8, 8))[0]
    assert blocks[:, :2].tolist() == [[3, 8], [3, 8], [2, 8]]


@pytest.mark.parametrize(
    ("form", "recipe"),
    [
        pytest.param(form, recipe, id=f"{form}, {recipe.name}")
        for form in ("plain", "lean", "lean-fused")
        for recipe in RECIPES
        if recipe.method == "dynamic" or FORMS[form].is_portable
    ],
)
def test_eight_bits_in_blocks(form: str, recipe: Recipe, tmp_path: Path) -> None:
    """Each block is answered as the old graph answers its rows alone, with scales of their own."""
    fp32, int8, file = (tmp_path / f"{name}.onnx" for name in ("fp32", "int8", "blocks"))
    write_onnx(classifier(tmp_path), fp32, opset=18, form=form)
    text = calibration_batches(ROWS, pad_id=0)
    quantize(fp32, int8, recipe, "u8", calibration=text)
    in_blocks(int8, file, TOKENS)
    inputs = feed(8, 8)
    before, found = open_session(int8), open_session(file).run(None, inputs)[0]
    blocks = [{key: rows[i : i + 3] for key, rows in inputs.items()} for i in (0, 3, 6)]
    expected = np.concatenate([before.run(None, block)[0] for block in blocks])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert inspect(file).precision == "int8"
    assert fused(file) == fused(int8)


@pytest.mark.parametrize("head", HEADS)
def test_weights_lie_outside_and_are_fused_as_before(
    head: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "blocks.onnx"
    in_blocks(sources[head], file, TOKENS)
    outer = {tensor.name for tensor in onnx.load(str(file)).graph.initializer}
    assert not body_of(file).initializer  # onnxruntime would keep them twice
    assert outer > {tensor.name for tensor in onnx.load(str(sources[head])).graph.initializer}
    assert fused(sources[head]) == fused(file)
    assert fused(file)["Attention"] > 0


def test_what_is_inside_is_seen(sources: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "blocks.onnx"
    in_blocks(sources["sequence"], file, TOKENS)
    before, after = inspect(sources["sequence"]), inspect(file)
    assert (after.vocab, after.precision, after.opset) == (before.vocab, "fp32", before.opset)
    assert before.vocab is not None
    assert after.nodes["Loop"] == 1
    assert all(after.nodes[name] >= count for name, count in before.nodes.items())
    assert not products(file)  # nothing to quantize: that comes before


def test_standard_operators_only(sources: dict[str, Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain.onnx"
    write_onnx(classifier(tmp_path), plain, opset=18, form="plain")
    assert FORMS["plain"].is_portable
    in_blocks(plain, plain, TOKENS)  # in place
    graphs = (onnx.load(str(plain)).graph, body_of(plain))
    assert {node.domain for graph in graphs for node in graph.node} == {""}


def test_the_proof_reaches_beyond_a_block(tmp_path: Path) -> None:
    rows = Rows([[1, 2], [1, 2, 3, 4]], [[0, 0], [0, 0, 0, 0]], "two rows")
    assert max(map(len, parity_batches(rows))) == 2
    assert parity_batches(rows, block=12)[-1] == [1, 0, 1, 0, 1, 0, 1]  # 2 x 3 rows and one
    model = classifier(tmp_path)
    file = tmp_path / "model.onnx"
    write_onnx(model, file, opset=18)
    in_blocks(file, file, TOKENS)
    proof = check_parity(model, file, ROWS, name="model.onnx", block=TOKENS)
    assert max(case.batch * case.seq_len for case in proof.cases) > TOKENS
    loaded = onnx.load(str(file))
    body = next(n for n in loaded.graph.node if n.op_type == "Loop").attribute[0].g
    next(n for n in body.node if n.op_type == "Add" and n.output[0] == "block/to").input[1] = (
        "block/1"  # blocks of one row, of which the others are lost
    )
    onnx.save(loaded, str(file))
    with pytest.raises(CofiError, match="ONNX and torch disagree") as caught:
        check_parity(model, file, ROWS, name="model.onnx", block=TOKENS)
    assert caught.value.exit_code == PARITY


def test_a_padded_batch_is_a_batch(sources: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "blocks.onnx"
    in_blocks(sources["token"], file, TOKENS)
    inputs = pad(ROWS, range(len(ROWS)), pad_id=0)
    expected = open_session(sources["token"]).run(None, inputs)[0]
    np.testing.assert_allclose(open_session(file).run(None, inputs)[0], expected, atol=1e-5)


def test_how_a_graph_is_called() -> None:
    assert graph_name("lean", None) == "lean"
    assert graph_name("lean", 512) == "lean, blocks of 512 tokens"
