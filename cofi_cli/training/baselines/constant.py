"""What a model scores that gives one answer to everything, and whether a model beats it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cofi_cli.tasks import Encoded, Ragged, Task

NOISE = 2.0
"""Standard errors of a share of right rows by which a model has to beat the constant one."""
_LEAST = 2.0
"""Points by which it has to, in metrics whose standard error is not known."""
_RANKLESS = ("regression", "ranking", "embedding")
"""Kinds whose metric is 0 for a constant: there is nothing to correlate or to rank."""


def constant_score(task: Task, encoded: Encoded) -> float | None:
    """Return the headline metric, in points, of the best constant answer to a split's rows.

    Of classes it is the commonest one, of labels the set of those that most rows have, of tags
    the commonest tag. ``None`` where there is no such answer (spans), or where scores are held
    against a teacher.

    Args:
        task: of the rows.
        encoded: a labelled split.
    """
    if encoded.labels is None or task.splits["validation"].labels is None or task.answers:
        return None
    if task.kind in _RANKLESS:
        return 0.0
    if task.kind == "span":
        return None
    if task.kind == "tokens":
        labels = np.asarray(encoded.labels.flat)
        row = _one_hot(labels[labels >= 0], len(task.labels))
        outputs: Any = Ragged([np.tile(row, (n, 1)) for n in encoded.lengths], dtype=np.float32)
    else:
        labels = np.asarray(encoded.labels)
        is_set = task.kind == "multilabel"
        row = labels.mean(0) - 0.5 if is_set else _one_hot(labels, len(task.labels))
        outputs = np.tile(row, (len(encoded), 1))
    return task.score(outputs, encoded.reference)[task.headline]


def _one_hot(labels: Any, classes: int) -> Any:
    row = np.zeros(classes, dtype=np.float32)
    row[np.bincount(labels, minlength=classes).argmax()] = 1.0
    return row


def margin(task: Task, score: float, rows: int) -> float:
    """Return the points by which a score has to beat a constant's: two standard errors.

    Args:
        task: of the score.
        score: of the constant answer, in points.
        rows: that it was taken on.
    """
    if task.headline != "accuracy":
        return _LEAST
    share = score / 100
    return NOISE * 100 * math.sqrt(share * (1 - share) / rows)


def not_learned(task: Task, encoded: Encoded, *, teacher: float, model: float) -> str | None:
    """Return a warning where a model is no better than a constant answer; ``None`` otherwise.

    Args:
        task: of the run.
        encoded: its validation rows.
        teacher, model: headline scores on them, in points.
    """
    constant = constant_score(task, encoded)
    if constant is None:
        return None
    bound = constant + margin(task, constant, len(encoded))
    if model > bound:
        return None
    said = (
        f"Nothing was learned: {task.headline} is {model:.1f} on the validation rows, and one "
        f"answer to all of them gets {constant:.1f}."
    )
    if teacher <= bound:
        return (
            f"{said} The teacher itself is at {teacher:.1f}: train it longer "
            "(--set teacher.epochs=10), give a better one (--teacher DIR), or more rows."
        )
    return (
        f"{said} The teacher is at {teacher:.1f}, so it is pruning that lost the task: give it "
        "more time (--minutes N), ask for a lower --sparsity, or add rows."
    )
