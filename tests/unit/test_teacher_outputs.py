"""The teacher's outputs: in memory, in a file beyond that, computed anew beyond both budgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.tasks import Encoded, Ragged, collate
from cofi_cli.training.evaluation import predict
from cofi_cli.training.processes import open_processes
from cofi_cli.training.teacher.outputs import TeacherOutputs

CPU = torch.device("cpu")


def _rows() -> Encoded:
    ids = Ragged(np.arange(5, 5 + length) for length in (3, 9, 4, 7))
    types = Ragged(np.zeros(length, dtype=int) for length in (3, 9, 4, 7))
    return Encoded(ids, types, None, np.diff(ids.ends))


@pytest.mark.parametrize(
    ("memory", "disk", "kept", "on_disk", "within"),
    [
        (1.0, 0.0, True, False, 1e-5),
        (1e-9, 1.0, True, True, 1e-2),  # bf16
        (1e-9, 1e-9, False, False, 0.0),
        (0.0, 1.0, False, False, 0.0),
    ],
)
@torch.no_grad()
def test_outputs_are_the_teachers_wherever_they_are_kept(
    memory: float, disk: float, kept: bool, on_disk: bool, within: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "head_dim": 4, "layer_heads": [2, 2], "layer_ffn": [6, 6]}
    config = CofiConfig(vocab_size=20, max_position_embeddings=16, **sizes)
    teacher, rows = CofiForSequenceClassification(config), _rows()
    outputs = TeacherOutputs(
        teacher,
        rows,
        taps=[0, 1],
        pad_id=0,
        device=CPU,
        budget_gb=memory,
        disk_gb=disk,
        folder=tmp_path,
        processes=open_processes("cpu"),
    )
    assert (outputs.is_kept, outputs.is_on_disk) == (kept, on_disk)
    outputs.prepare()
    assert outputs.is_ready == kept and not list(tmp_path.iterdir())
    batch = collate(rows, [1, 3], pad_id=0)
    expected = outputs._run(batch)
    for found, own in zip(outputs.get(batch, [1, 3]), expected, strict=True):
        torch.testing.assert_close(found, own, atol=within, rtol=within)


@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-6), ("bf16", 0.1)])
def test_answers_are_computed_in_the_precision_asked_for(precision: str, within: float) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "head_dim": 8, "layer_heads": [4, 4], "layer_ffn": [64, 64]}
    config = CofiConfig(vocab_size=20, max_position_embeddings=16, **sizes)
    model, rows = CofiForSequenceClassification(config).eval(), _rows()
    answer = partial(predict, model, rows, batch_size=2, pad_id=0, device=CPU)
    full, found = np.asarray(answer()), np.asarray(answer(precision=precision))
    assert found.dtype == np.float32
    assert np.abs(found - full).max() <= within * np.abs(full).max()
    assert (found == full).all() == (precision == "fp32")
