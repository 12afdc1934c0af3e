"""8 bits with scales of each run: a row's answer depends on its batch, and so does the score."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cofi_cli.deploy.graph import Graph
from cofi_cli.deploy.samples import Rows
from cofi_cli.deploy.scoring import BATCH_SIZE, DevSet, score_model
from cofi_cli.deploy.targets import Model, Runtime

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
    spec = SimpleNamespace(head="sequence")
    splits = MappingProxyType({"validation": range(COUNT)})

    def score(self, outputs: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        return {"accuracy": 100 * float((outputs.argmax(-1) == reference).mean())}


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
    assert (row["score"], row["batch"]) == (points, batch)
    assert set(seen) == {*sizes}


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_other_models_are_scored_once(runtime: Runtime) -> None:
    """Static scales are those of the calibration, and a checkpoint has none."""
    nodes = {"QuantizeLinear": 3} if runtime == "onnxruntime" else {"DynamicQuantizeLinear": 3}
    row, seen = score(nodes, 1, 4, runtime=runtime)
    assert seen == [BATCH_SIZE, COUNT - BATCH_SIZE] and "batch" not in row
