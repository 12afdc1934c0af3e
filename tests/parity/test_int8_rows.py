"""Embedding tables as int8 rows: in every graph form the graph with the rounded table."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime import InferenceSession

from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.blocks import in_blocks
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.embeddings import int8_rows, to_int8_rows
from cofi_cli.exporting.precision.fp16 import to_fp16
from cofi_cli.exporting.precision.quantization import RECIPES, quantize
from cofi_cli.runtime.inspection import inspect
from tests.architectures import inputs_of, save

CASES = [
    ("bert", "plain"),
    ("bert", "fused-lengths"),
    ("roberta", "lean"),
    ("electra", "fused-skip"),
    ("mpnet", "packed"),
    ("deberta-v2", "plain"),
    ("modernbert", "plain"),
]
"""Every way in which a graph looks rows up; the forms share them."""


def graph_of(folder: Path, name: str, form: str) -> Path:
    model = load_model(str(save(folder / "model", name, "sequence")))
    write_onnx(model, folder / "exact.onnx", opset=18, form=form)
    return folder / "exact.onnx"


def answer(file: Path, name: str) -> np.ndarray:
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {key: value.numpy() for key, value in inputs_of(name).items()}
    taken = {i.name: given[i.name] for i in session.get_inputs()}
    return session.run(None, taken)[0]


def round_tables(file: Path, target: Path) -> int:
    """Write the same graph with the rounded tables in fp32, and return their number of values."""
    model, size = onnx.load(str(file)), 0
    for tensor in model.graph.initializer:
        if ".embeddings." in tensor.name and len(tensor.dims) == 2 and tensor.dims[0] > 7:
            rows, scales = int8_rows(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(rows * scales, tensor.name))
            size += rows.size
    onnx.save(model, str(target))
    return size


def large_tables(file: Path) -> dict[int, int]:
    """Return the type and the number of values of all tables that a graph looks rows up in."""
    sizes: dict[int, int] = {}
    for tensor in onnx.load(str(file)).graph.initializer:
        if ".embeddings." in tensor.name and len(tensor.dims) == 2 and tensor.dims[0] > 7:
            sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
    return sizes


@pytest.mark.parametrize(("name", "form"), CASES)
def test_a_graph_answers_as_with_the_rounded_table(tmp_path: Path, name: str, form: str) -> None:
    exact = graph_of(tmp_path, name, form)
    rounded, small = tmp_path / "rounded.onnx", tmp_path / "small.onnx"
    values = round_tables(exact, rounded)
    assert to_int8_rows(exact, small) > 0
    np.testing.assert_allclose(answer(small, name), answer(rounded, name), atol=1e-6, rtol=1e-6)
    held = large_tables(small)
    assert held[onnx.TensorProto.INT8] == values, "one copy of each table"
    # The scales are the only other tables, one number a row.
    assert held.get(onnx.TensorProto.FLOAT, 0) < values / 8
    assert inspect(small).vocab == 40
    if FORMS[form].is_portable:
        assert {node.domain for node in onnx.load(str(small)).graph.node} == {""}


def test_rows_keep_their_largest_value_and_a_row_of_zeros() -> None:
    table = np.array([[0.5, -2.0, 1.0], [0.0, 0.0, 0.0], [1e-3, 0, 0]], dtype=np.float32)
    rows, scales = int8_rows(table)
    assert rows[0, 1] == -127 and not rows[1].any()
    assert (np.abs(rows * scales - table) <= scales / 2 + 1e-9).all()


def test_in_blocks_in_8_bits_and_in_fp16_there_is_one_table_too(tmp_path: Path) -> None:
    exact = graph_of(tmp_path, "bert", "lean")
    rounded, small, blocked = (tmp_path / f"{name}.onnx" for name in ("rounded", "small", "many"))
    round_tables(exact, rounded)
    in_blocks(exact, blocked, 16)
    to_int8_rows(blocked, small)
    np.testing.assert_allclose(answer(small, "bert"), answer(rounded, "bert"), atol=1e-6)
    quantize(rounded, blocked, RECIPES[0], "u8")
    quantize(exact, small, RECIPES[0], "u8")
    to_int8_rows(small, small)
    np.testing.assert_allclose(answer(small, "bert"), answer(blocked, "bert"), atol=1e-6)
    assert onnx.TensorProto.INT8 in large_tables(small)
    to_fp16(exact, blocked)
    to_int8_rows(blocked, small)
    assert set(large_tables(small)) == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT16}
    np.testing.assert_allclose(answer(small, "bert"), answer(blocked, "bert"), atol=0.02)
