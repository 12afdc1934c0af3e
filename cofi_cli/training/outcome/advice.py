"""What would bring a pruned model closer to its teacher: more rows, or more weights and time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks import Ragged
from cofi_cli.training.evaluation import predict
from cofi_cli.training.session import Session

ROWS = 1000
"""Rows of each split on which agreement is measured, at most."""
LOST = 1.0
"""Points below the teacher from which advice is given."""
GENERALISES = 3.0
"""Points by which agreement on rows not trained on may stay behind that on training rows."""


def agreement(session: Session, teacher: CofiForTask, model: CofiForTask) -> dict[str, float]:
    """Return how often a model answers as its teacher, in points.

    Returns:
        ``train`` and ``validation``: evenly spaced rows of each split, :data:`ROWS` at most.
    """
    return {
        name: 100 * session.task.kind.agree(*(_answers(session, m, name) for m in (model, teacher)))
        for name in ("train", "validation")
    }


def _answers(session: Session, model: CofiForTask, split: str) -> NDArray[Any] | Ragged:
    encoded = session.splits[split]
    count = min(ROWS, len(encoded))
    rows = np.linspace(0, len(encoded) - 1, count).round().astype(int).tolist()
    return predict(
        model.to(session.device),
        encoded.inputs(rows),
        batch_size=session.config.train.eval_batch_size,
        pad_id=session.pad_id,
        device=session.device,
    )


def advice(*, lost: float, train: float, validation: float) -> str | None:
    """Return what would help, or ``None`` where little was lost.

    Args:
        lost: points of the headline metric below the teacher, on the validation rows.
        train, validation: agreement with the teacher, in points.
    """
    if lost < LOST:
        return None
    if train - validation > GENERALISES:
        return (
            f"The model is {lost:.1f} points below its teacher. It answers like its teacher on "
            f"{train:.1f} % of the training rows and on {validation:.1f} % of the validation rows, "
            "so it needs more rows. Texts of the same kind without labels are enough: --extra FILE"
        )
    return (
        f"The model is {lost:.1f} points below its teacher. It answers like its teacher on "
        f"{train:.1f} % of the training rows, so it needs more time (--minutes N) or more weights "
        "(a lower --sparsity)."
    )
