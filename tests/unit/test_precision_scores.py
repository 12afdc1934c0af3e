"""Scores of smaller precisions: at which batch sizes, and how uncertain they are."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from cofi_cli import format as text
from cofi_cli.exporting.build import Build
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import Graph
from cofi_cli.runtime.model import Model, Runtime
from cofi_cli.runtime.scoring import BATCH_SIZE, DevSet, score_model
from cofi_cli.tasks import KINDS
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


class Task:
    name, metrics, num_labels = "parity", ["accuracy"], 2
    kind = KINDS["classification"]
    splits = MappingProxyType({"validation": range(COUNT)})

    def score(self, outputs: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        return {"accuracy": 100 * float((outputs.argmax(-1) == reference).mean())}

    def part_scores(self, outputs: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
        return {}


def score(nodes: dict[str, int], *sizes: int, runtime: Runtime = "onnxruntime") -> Any:
    task: Any = Task()
    dev = DevSet(ROWS, np.asarray([(i + 1) % 2 for i in range(COUNT)]), 0, COUNT, task, sizes)
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


@pytest.mark.parametrize(
    ("metric", "is_share", "shown"),
    [
        ("accuracy", True, "84.80 (-0.49, standard error 1.78)"),
        ("spearman", False, "84.80 (-0.49)"),
    ],
)
def test_a_drop_is_told_with_what_so_few_rows_can_tell(
    tmp_path: Path, metric: str, is_share: bool, shown: str
) -> None:
    """MRPC's 408 rows: two of them are half a point, and a score is uncertain by 1.8."""
    made: Any = object.__new__(Build)
    made.files, made.models = {}, {"model": ("checkpoint", None)}
    made._exact, made._whole = {}, None
    for key, right in (("model", 348), ("model_int8", 346)):
        file = save_onnx(tmp_path / f"{key}.onnx")
        found = score_row("model", 100 * right / 408, metric=metric, rows=408)
        made._exact.setdefault("model", found)
        made._record("model", file, "int8" if "int8" in key else "fp32", "plain", found)
    exact, eight = made.files.values()
    assert exact.drop is None and text.score(exact) == "85.29"
    assert eight.drop == pytest.approx(100 * 2 / 408)
    p = 346 / 408
    wanted = 100 * math.sqrt(p * (1 - p) / 408) if is_share else None
    assert eight.standard_error == (wanted and pytest.approx(wanted))
    assert text.score(eight) == shown
    assert text.score(exported_file()) == "-"
