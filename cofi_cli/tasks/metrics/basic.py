"""Metrics as fractions of 1; :meth:`Task.score` turns them into points.

GLUE's choice of metrics is that of Wang et al. (2019), table 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def accuracy(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the share of rows that are right."""
    return float(np.mean(labels == predictions))


def f1(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the F1 of class 1 (GLUE: *equivalent*, *duplicate*); 0 where it is undefined."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, zero_division=0.0))


def macro_f1(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the unweighted mean of the classes' F1, over those that occur on either side."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0.0))


def matthews(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the Matthews correlation; 0 for a constant prediction."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def pearson(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the linear correlation; 0 where it is undefined (a constant side)."""
    return _correlation("pearsonr", labels, predictions)


def spearman(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return the rank correlation; 0 where it is undefined (a constant side)."""
    return _correlation("spearmanr", labels, predictions)


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Return the cosine of each row's pair of vectors, (n, e) twice; 0 for a zero vector."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: NDArray[Any] = (one * other).sum(1) / np.maximum(lengths, 1e-12)
    return found


def _correlation(name: str, labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return what scipy's function of this name finds; 0 where a side is constant."""
    from scipy import stats

    if _constant(labels) or _constant(predictions):
        return 0.0
    return float(getattr(stats, name)(labels, predictions)[0])


def _constant(values: NDArray[Any]) -> bool:
    """Whether a correlation with these values is noise: all equal up to rounding."""
    values = np.asarray(values, dtype=np.float64)
    spread = values.max() - values.min()
    return len(values) < 2 or bool(spread <= 1e-12 * max(1.0, np.abs(values).max()))


METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}
"""Name -> (labels, predictions), both of shape (rows,), to one number."""


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
