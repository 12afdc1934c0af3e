"""From a model's outputs to the task's metrics, by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.embedding_scoring import score_embedding
from cofi_cli.tasks.kinds import Kind
from cofi_cli.tasks.metrics import METRICS
from cofi_cli.tasks.multilabel import multilabel_scores
from cofi_cli.tasks.ranking import ranking_scores
from cofi_cli.tasks.span_scoring import score_spans
from cofi_cli.tasks.tags import OUTSIDE, entity_scores
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


def _score_tokens(task: Task, outputs: Any, reference: Any) -> dict[str, float]:
    """Score a tag a word; a word that the tokenizer makes nothing of counts as O."""
    logits = finite(np.asarray(outputs.flat, dtype=np.float64), reference.tokens)
    predicted = reference.predicted(logits, missing=task.labels.index(OUTSIDE))
    names = np.asarray(task.labels, dtype=object)
    scores = entity_scores(
        (names[row] for row in reference.tags), (names[row] for row in predicted)
    )
    return {name: 100.0 * scores[name] for name in task.metrics}


def _score_sets(task: Task, outputs: Any, reference: Any) -> dict[str, float]:
    """Score a yes or no for each label, (rows, C); yes is a probability of at least 0.5."""
    labels = np.asarray(reference) > 0.5
    logits = finite(np.asarray(outputs, dtype=np.float64).reshape(-1, task.num_labels), len(labels))
    found = multilabel_scores(labels, logits >= 0)
    return {name: 100.0 * found[name] for name in task.metrics}


def _score_rankings(task: Task, outputs: Any, reference: Any) -> dict[str, float]:
    """Score one logit a pair, by query."""
    logits = np.asarray(outputs, dtype=np.float64).reshape(-1)
    found = ranking_scores(finite(logits, len(reference.query)), reference)
    return {name: 100.0 * found[name] for name in task.metrics}


SCORERS: Mapping[Kind, Scorer] = {
    "classification": _score_rows,
    "regression": _score_rows,
    "span": score_spans,
    "tokens": _score_tokens,
    "multilabel": _score_sets,
    "ranking": _score_rankings,
    "embedding": score_embedding,
}
