"""Scores of smaller precisions: at which batch sizes, and how uncertain they are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cofi_cli import format as text
from cofi_cli.exporting.build import Build
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import Graph
from cofi_cli.runtime.model import Model, Runtime
from cofi_cli.runtime.scoring import BATCH_SIZE, DevSet, score_model
from cofi_cli.tasks import KINDS, Split, Task
from cofi_cli.tasks.metrics.jackknife import kept_units
from tests.records import exported_file, score_row
from tests.tiny_onnx import save_onnx

COUNT = 48
ROWS = Rows([[i + 1] for i in range(COUNT)], [[0]] * COUNT, "dev")


class Worker:
    """Answers right, unless a batch has more than 8 rows: then always with the first label."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        ids = batch["input_ids"][:, 0]
        self.sizes.append(len(ids))
        right = ids % 2 if len(ids) <= 8 else np.zeros_like(ids)
        return np.eye(2)[right]


LABELS = [(i + 1) % 2 for i in range(COUNT)]
SPLIT = Split([("text",)] * COUNT, LABELS)
TASK = Task(
    "parity", KINDS["classification"], ("even", "odd"), ("accuracy",), {"validation": SPLIT}, 8
)


def score(nodes: dict[str, int], *sizes: int, runtime: Runtime = "onnxruntime") -> Any:
    dev = DevSet(ROWS, np.asarray(LABELS), 0, COUNT, TASK, sizes)
    worker: Any = Worker()
    model = Model("model", Path("model.onnx"), Graph(nodes, "int8", 9, 18), runtime=runtime)
    return score_model(worker, model, dev), worker.sizes


@pytest.mark.parametrize(
    ("sizes", "points", "batch"), [((1,), 100.0, 1), ((1, 16), 50.0, 16), ((4, 4, 2), 100.0, 4)]
)
@pytest.mark.parametrize("node", ["DynamicQuantizeLinear", "DynamicQuantizeMatMul"])
def test_dynamic_scales_are_scored_at_the_sizes_asked_for(
    node: str, sizes: tuple[int, ...], points: float, batch: int
) -> None:
    row, seen = score({node: 3}, *sizes)
    assert (row.score, row.batch) == (points, batch)
    assert set(seen) == {*sizes}


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_other_models_are_scored_once(runtime: Runtime) -> None:
    """Static scales are those of the calibration, and a checkpoint has none."""
    nodes = {"QuantizeLinear": 3} if runtime == "onnxruntime" else {"DynamicQuantizeLinear": 3}
    row, seen = score(nodes, 1, 4, runtime=runtime)
    assert seen == [BATCH_SIZE, COUNT - BATCH_SIZE] and row.batch is None


def test_a_drop_is_told_with_what_so_few_rows_can_tell(tmp_path: Path) -> None:
    """On MRPC's 408 rows the two files answer two otherwise: half a point, error 0.35."""
    made: Any = object.__new__(Build)
    made.files, made.models = {}, {"model": ("checkpoint", None)}
    made._exact, made._whole = {}, None
    right = np.arange(408) < 348
    for key, wrong in (("model", ()), ("model_int8", (3, 7))):
        file = save_onnx(tmp_path / f"{key}.onnx")
        own = right & ~np.isin(np.arange(408), wrong)
        found = score_row("model", 100 * own.mean(), metric="accuracy", rows=408)
        without = [float(100 * own[kept].mean()) for kept in kept_units(408)]
        found = found.model_copy(update={"scores_without": without})
        made._exact.setdefault("model", found)
        made._record("model", file, "int8" if "int8" in key else "fp32", "plain", found)
    exact, eight = made.files.values()
    assert exact.drop is None and text.score(exact) == "85.29"
    assert eight.drop == pytest.approx(100 * 2 / 408)
    assert eight.standard_error == pytest.approx(100 * math.sqrt(2) / 408, rel=0.05)
    assert text.score(eight) == "84.80 (-0.49, standard error 0.34)"
    assert text.score(exported_file()) == "-"
