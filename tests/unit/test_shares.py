"""Shares of a batch add up to the batch, whatever a loss is a mean over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cofi_cli.tasks import KINDS, Encoded, Ragged
from cofi_cli.training.distiller import part_of
from cofi_cli.training.objective import Objective
from cofi_cli.training.processes import Processes, open_processes
from cofi_cli.training.stages.batch import make_batch
from cofi_cli.training.teacher.outputs import real_positions, select_positions
from tests.processes import run_together

LENGTHS = np.array([5, 3, 9, 2, 7], dtype=np.int64)
SHAPES = {"classification": (3,), "regression": (1,), "multilabel": (3,), "span": (2,)}


def _encoded(kind: str) -> Encoded:
    rng = np.random.default_rng(0)
    ids = Ragged(rng.integers(5, 30, n) for n in LENGTHS)
    rows = len(LENGTHS)
    labels: Any = {
        "classification": rng.integers(3, size=rows),
        "regression": rng.random(rows, dtype=np.float32),
        "multilabel": rng.integers(2, size=(rows, 3)).astype(np.float32),
        "span": np.array([[0, 1], [2, 2], [3, 99], [0, 0], [99, 99]]),  # 99: in another window
        "tokens": Ragged(
            np.where(rng.random(n) < 0.5, -100, rng.integers(3, size=n)) for n in LENGTHS
        ),
    }[kind]
    return Encoded(ids, Ragged(np.zeros(n) for n in LENGTHS), labels, LENGTHS)


def _session(kind: str, *, index: int = 0, count: int = 1) -> Any:
    processes = SimpleNamespace(index=index, count=count, share=lambda rows: rows[index::count])
    return SimpleNamespace(
        processes=processes,
        objective=Objective(KINDS[kind]),
        pad_id=0,
        device=torch.device("cpu"),
        rounds_lengths=lambda precision: False,
    )


@pytest.mark.parametrize("kind", ["classification", "regression", "multilabel", "tokens", "span"])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [2, 1]])
def test_the_parts_of_a_loss_are_the_loss(kind: str, rows: list[int]) -> None:
    """Three processes, of which one has nothing to do in a batch of two rows."""
    encoded, objective = _encoded(kind), Objective(KINDS[kind])
    per_token = kind in ("tokens", "span")
    shape = (len(LENGTHS), int(LENGTHS.max()))
    student, teacher = (
        torch.randn(*(shape if per_token else shape[:1]), *SHAPES.get(kind, (3,))) for _ in range(2)
    )

    def losses(session: Any) -> torch.Tensor:
        mine, batch = make_batch(session, encoded, rows, precision="fp32")
        length = batch["input_ids"].shape[1]
        ours, theirs = (x[mine][:, :length] if per_token else x[mine] for x in (student, teacher))
        hard = part_of(objective.hard(ours, batch), batch, over="labels")
        if per_token:
            ours, theirs = (select_positions(x, real_positions(batch)) for x in (ours, theirs))
        mask = batch["attention_mask"]
        soft = objective.soft(ours, theirs, mask, temperature=2.0)
        return torch.stack([hard, part_of(soft, batch, over=objective.soft_over)])

    whole = losses(_session(kind))
    parts = [losses(_session(kind, index=index, count=3)) for index in range(3)]
    torch.testing.assert_close(sum(parts), whole)


def _summed() -> list[list[float]]:
    """Return a table's and a matrix's gradients after each of two processes read other rows."""
    processes: Processes = open_processes("cpu")
    table = torch.nn.Embedding(6, 2, sparse=True)
    matrix = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(table.weight)
    torch.nn.init.ones_(matrix.weight)
    rows = torch.tensor([[1, 3, 3], [3, 5, 0]][processes.index][: 3 - processes.index])
    matrix(table(rows)).sum().backward()
    processes.sum_gradients([table.weight, matrix.weight])
    assert table.weight.grad is not None and matrix.weight.grad is not None
    assert table.weight.grad.is_sparse
    assert 0 not in table.weight.grad.coalesce().indices(), "padding of the message is no row"
    return [table.weight.grad.to_dense()[:, 0].tolist(), matrix.weight.grad[0].tolist()]


def test_gradients_of_tables_and_matrices_are_summed() -> None:
    for answer in run_together(_summed):
        assert answer == [[0, 1, 0, 3, 0, 1], [5, 5]]
