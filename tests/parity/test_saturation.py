"""8-bit sums of neighbours fit into 16 bits, and a file answers as exact integer sums do."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.forms import FORMS, SKIP
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.quantization import RECIPES, Recipe, quantize
from cofi_cli.exporting.precision.saturation import (
    LARGEST_SUM,
    round_for_any_processor,
    rounded,
)
from tests.architectures import save

STATIC = RECIPES[-1]


def sums_of_neighbours(rows: np.ndarray) -> np.ndarray:
    """Return the largest share of 16 bits that u8 times two rows of each column can take."""
    wide = rows.astype(np.int64)
    after = np.concatenate([wide[1:], np.zeros_like(wide[:1])])
    up = np.maximum(wide, 0) + np.maximum(after, 0)
    down = np.minimum(wide, 0) + np.minimum(after, 0)
    return np.maximum(255 * up / (2**15 - 1), -255 * down / 2**15)


def one_product(file: Path, weight: np.ndarray, op: str) -> None:
    """Write a graph of one product of rows, (B, K), with a bias."""
    k, n = weight.shape
    tensors = [
        numpy_helper.from_array(weight.T.copy() if op == "Gemm" else weight, "w"),
        numpy_helper.from_array(np.linspace(-1, 1, n, dtype=np.float32), "b"),
    ]
    if op == "Gemm":
        nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], "p", transB=1)]
    else:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["m"], "p"),
            helper.make_node("Add", ["m", "b"], ["y"]),
        ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size])
        for name, size in (("x", k), ("y", n))
    ]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(file))


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["normal", "one sign", "one large", "alternating", "one row"])
def test_no_two_neighbours_leave_16_bits(kind: str, per_channel: bool) -> None:
    weight = np.random.default_rng(0).normal(size=(65, 33)).astype(np.float32)
    weight = {
        "normal": weight,
        "one sign": np.abs(weight) + 1,
        "one large": np.where(np.arange(65)[:, None] == 7, 50, weight).astype(np.float32),
        "alternating": weight * 0 + np.where(np.arange(65)[:, None] % 2, 1, -1).astype(np.float32),
        "one row": weight[:1],
    }[kind]
    rows, scales = rounded(weight, per_channel=per_channel)
    assert rows.dtype == np.int8 and scales.shape == ((1, 33) if per_channel else (1, 1))
    assert sums_of_neighbours(rows).max() <= 1
    assert np.abs(rows * scales - weight).max() <= scales.max() * 0.5001
    used = np.abs(rows).max(axis=0 if per_channel else None)
    assert (used >= LARGEST_SUM // 2 - 1).all()  # two alike
    least = {"one large": 110, "alternating": LARGEST_SUM - 1, "one row": LARGEST_SUM - 1}
    assert (used >= least.get(kind, 0)).all(), "one that stands alone has the whole range"
    assert not rounded(weight * 0, per_channel=per_channel)[0].any()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
def test_a_file_answers_as_the_exact_sums(tmp_path: Path, recipe: Recipe, op: str) -> None:
    """Large inputs on weights of one sign: where 16 bits are too few for the full range."""
    rng = np.random.default_rng(1)
    weight = (np.abs(rng.normal(size=(384, 48))) + 0.5).astype(np.float32)
    x = rng.uniform(0.7, 1.0, size=(24, 384)).astype(np.float32)
    x[0, 0] = 0.0
    one_product(tmp_path / "exact.onnx", weight, op)
    file = tmp_path / "int8.onnx"
    quantize(tmp_path / "exact.onnx", file, recipe, "u8", calibration=[{"x": x}])
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(file)).graph.initializer}
    (name,) = (name for name in held if name.endswith("_quantized"))
    scale = held[name.removesuffix("_quantized") + "_scale"]
    rows, scales = rounded(weight, per_channel=recipe.per_channel)
    np.testing.assert_array_equal(held[name], rows)
    np.testing.assert_array_equal(scale.flatten(), scales.flatten())
    step = np.float32(x.max() / 255)
    integers = np.clip(np.rint(x / step), 0, 255).astype(np.int64)
    expected = (integers @ rows.astype(np.int64)) * (step * scales) + np.linspace(-1, 1, 48)
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    if recipe == STATIC:  # the answer is rounded to 8 bits, too
        np.testing.assert_allclose(found, expected, atol=(expected.max() + 1) / 255)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES[:2], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("form", [form for form in FORMS if form not in SKIP])
def test_every_weight_of_every_form(tmp_path: Path, form: str, recipe: Recipe) -> None:
    model = load_model(str(save(tmp_path / "model", "bert", "sequence")))
    exact, file = tmp_path / "exact.onnx", tmp_path / "int8.onnx"
    write_onnx(model, exact, opset=18, form=form)
    quantize(exact, file, recipe, "u8")
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(file)).graph.initializer}
    weights = [rows for rows in held.values() if rows.dtype == np.int8 and rows.ndim == 2]
    assert len(weights) > 4
    for rows in weights:
        assert sums_of_neighbours(rows).max() <= 1


def test_a_weight_of_unknown_origin_is_an_error(tmp_path: Path) -> None:
    one_product(tmp_path / "exact.onnx", np.eye(4, dtype=np.float32), "MatMul")
    quantize(tmp_path / "exact.onnx", tmp_path / "int8.onnx", RECIPES[0], "u8")
    other = onnx.load(str(tmp_path / "exact.onnx"))
    other.graph.initializer[0].name = "another"
    onnx.save(other, str(tmp_path / "other.onnx"))
    with pytest.raises(ValueError, match="w_quantized"):
        round_for_any_processor(tmp_path / "int8.onnx", tmp_path / "other.onnx")
