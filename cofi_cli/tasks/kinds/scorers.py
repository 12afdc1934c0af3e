"""From a model's outputs to the task's metrics, by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cofi_cli.tasks.files.label_sets import multilabel_scores
from cofi_cli.tasks.kinds.embedding import score_embedding
from cofi_cli.tasks.kinds.ranking import ranking_scores
from cofi_cli.tasks.kinds.span_answers import score_spans
from cofi_cli.tasks.kinds.specs import Kind, Scored
from cofi_cli.tasks.metrics.basic import METRICS, finite
from cofi_cli.tasks.metrics.tags import OUTSIDE, entity_scores

Scorer = Callable[[Scored, Any, Any], dict[str, float]]
"""(task, outputs, reference) to points by metric, the headline first."""


def _score_rows(task: Scored, outputs: Any, reference: Any) -> dict[str, float]:
    """Score one class, or one number, a row."""
    labels = np.asarray(reference).reshape(-1)
    logits = np.asarray(outputs, dtype=np.float64).reshape(-1, task.num_labels)
    logits = finite(logits, len(labels))
    predictions = logits.argmax(1) if task.kind == "classification" else logits[:, 0]
    return {name: 100.0 * METRICS[name](labels, predictions) for name in task.metrics}


def _score_tokens(task: Scored, outputs: Any, reference: Any) -> dict[str, float]:
    """Score a tag a word; a word that the tokenizer makes nothing of counts as O."""
    logits = finite(np.asarray(outputs.flat, dtype=np.float64), reference.tokens)
    predicted = reference.predicted(logits, missing=task.labels.index(OUTSIDE))
    names = np.asarray(task.labels, dtype=object)
    scores = entity_scores(
        (names[row] for row in reference.tags), (names[row] for row in predicted)
    )
    return {name: 100.0 * scores[name] for name in task.metrics}


def _score_sets(task: Scored, outputs: Any, reference: Any) -> dict[str, float]:
    """Score a yes or no for each label, (rows, C); yes is a probability of at least 0.5."""
    labels = np.asarray(reference) > 0.5
    logits = finite(np.asarray(outputs, dtype=np.float64).reshape(-1, task.num_labels), len(labels))
    found = multilabel_scores(labels, logits >= 0)
    return {name: 100.0 * found[name] for name in task.metrics}


def _score_rankings(task: Scored, outputs: Any, reference: Any) -> dict[str, float]:
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
