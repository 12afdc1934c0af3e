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


def advise(
    session: Session, teacher: CofiForTask, model: CofiForTask, *, lost: float
) -> str | None:
    """Return what would help a pruned model, or ``None`` where little was lost.

    Args:
        session: of the run.
        teacher, model: that answer evenly spaced rows of the training and the validation split,
            :data:`ROWS` of each at most.
        lost: points of the headline metric below the teacher, on the validation rows.
    """
    if lost < LOST:
        return None
    train, validation = (
        100 * session.task.kind.agree(*(_answers(session, m, name) for m in (model, teacher)))
        for name in ("train", "validation")
    )
    return advice(lost=lost, train=train, validation=validation)


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
        processes=session.processes,
    )


def advice(*, lost: float, train: float, validation: float) -> str:
    """Return what would help a model that lost points and agrees with its teacher so often."""
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
