"""From a model's outputs to the task's metrics, by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.embedding_scoring import score_embedding
from cofi_cli.tasks.kinds import Kind
from cofi_cli.tasks.metrics import METRICS
from cofi_cli.tasks.span_scoring import score_spans
from cofi_cli.tasks.task import Task

Scorer = Callable[[Task, Any, Any], dict[str, float]]
"""(task, outputs, reference) to points by metric, the headline first."""


def finite(logits: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return logits, (rows, ...), after looking at them.

    Raises:
        ValueError: there are more or fewer rows than labels, or one is not finite.
    """
    if len(logits) != rows:
        raise ValueError(f"{len(logits)} rows of logits against {rows} labels.")
    good = np.isfinite(logits).reshape(len(logits), -1).all(axis=1)
    if not good.all():
        bad = int((~good).sum())
        raise ValueError(f"The model's output is not finite in {bad} of {len(logits)} rows.")
    return logits


def _score_rows(task: Task, outputs: Any, reference: Any) -> dict[str, float]:
    """Score one class, or one number, a row."""
    labels = np.asarray(reference).reshape(-1)
    logits = np.asarray(outputs, dtype=np.float64).reshape(-1, task.num_labels)
    logits = finite(logits, len(labels))
    predictions = logits.argmax(1) if task.kind == "classification" else logits[:, 0]
    return {name: 100.0 * METRICS[name](labels, predictions) for name in task.metrics}


SCORERS: Mapping[Kind, Scorer] = {
    "classification": _score_rows,
    "regression": _score_rows,
    "span": score_spans,
    "embedding": score_embedding,
}
