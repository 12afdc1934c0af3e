"""The score of one answer to everything, and whether a model beats it."""

from __future__ import annotations

import math

from cofi_cli.tasks import Encoded, Task

NOISE = 2.0
"""Standard errors of a share of right rows by which a model has to beat the constant one."""
_LEAST = 2.0
"""Points by which it has to, in metrics whose standard error is not known."""


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
    return task.kind.constant_score(encoded, task.labels, task.metrics)


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
