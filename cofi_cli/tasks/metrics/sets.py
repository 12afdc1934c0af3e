"""How well sets of labels are predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def f1_of(hits: NDArray[Any], wrong: NDArray[Any]) -> NDArray[np.float64]:
    """Return F1 = 2·tp / (2·tp + fp + fn); NaN where there is nothing to find and nothing found.

    Args:
        hits: true positives.
        wrong: false positives and false negatives together.
    """
    whole = 2.0 * hits + wrong
    found: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(2.0 * hits, whole, out=found, where=np.asarray(whole > 0))
    return found


def multilabel_scores(labels: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    """Return micro and macro F1 and subset accuracy, as fractions.

    Macro F1 is the mean over the labels that occur on either side. A score is 0 where
    there is nothing to find and nothing found.

    Args:
        labels, predictions: (rows, C) of bool.
    """
    hits, wrong = (labels & predictions).sum(0), (labels ^ predictions).sum(0)
    each = f1_of(hits, wrong)
    defined = each[~np.isnan(each)]
    return {
        "micro_f1": float(np.nan_to_num(f1_of(hits.sum(), wrong.sum()))),
        "macro_f1": float(defined.mean()) if len(defined) else 0.0,
        "subset_accuracy": float((labels == predictions).all(axis=1).mean()),
    }
