"""What would bring a pruned model closer to its teacher: more rows, or more weights and time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks import Ragged
from cofi_cli.training.evaluation import answers
from cofi_cli.training.session import Session

ROWS = 1000
"""Rows of each split on which agreement is measured, at most."""
LOST = 1.0
"""Points below the teacher from which advice is given."""
GENERALISES = 3.0
"""Points by which agreement on rows not trained on may stay behind that on training rows."""
_SPLITS = ("train", "validation")

Answers = NDArray[Any] | Ragged


class Adviser:
    """Compares the sizes of a run with their teacher, which answers once, if it is needed.

    Args:
        teacher: that was imitated.
    """

    def __init__(self, session: Session, teacher: CofiForTask) -> None:
        self._session, self._teacher = session, teacher

    @cached_property
    def _known(self) -> dict[str, Answers]:
        return {name: self._answers(self._teacher, name) for name in _SPLITS}

    def advise(self, model: CofiForTask, *, lost: float) -> str | None:
        """Return what would help a pruned model, or ``None`` where little was lost.

        Args:
            model: answers evenly spaced rows of the training and the validation split,
                :data:`ROWS` of each at most.
            lost: points of the headline metric below the teacher, on the validation rows.
        """
        if lost < LOST:
            return None
        agree = self._session.task.kind.agree
        train, validation = (
            100 * agree(self._answers(model, name), self._known[name]) for name in _SPLITS
        )
        return advice(lost=lost, train=train, validation=validation)

    def _answers(self, model: CofiForTask, split: str) -> Answers:
        session, encoded = self._session, self._session.splits[split]
        count = min(ROWS, len(encoded))
        rows = np.linspace(0, len(encoded) - 1, count).round().astype(int).tolist()
        return answers(session, model, encoded.inputs(rows))


def advice(*, lost: float, train: float, validation: float) -> str:
    """Return what would help a model that lost points, by its agreement with its teacher.

    Rows are missing where more is lost between training and validation rows than on training rows.

    Args:
        lost: points below the teacher.
        train, validation: agreement on the rows of each split, 100 = wholly.
    """
    said = (
        f"The model is {lost:.1f} points below its teacher. It agrees with the teacher to "
        f"{train:.1f} % on training rows"
    )
    if train - validation > max(GENERALISES, 100 - train):
        return (
            f"{said} and to {validation:.1f} % on validation rows, so it needs more rows. Texts of "
            "the same kind without labels are enough: --extra FILE"
        )
    return (
        f"{said}, so it needs more time (--minutes N) or more weights (a lower --sparsity or "
        "--speedup)."
    )
