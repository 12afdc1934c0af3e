"""Metrics against closed forms, and the points of Task.score."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cofi_cli.tasks import KINDS, Split, Task
from cofi_cli.tasks.metrics.basic import METRICS


def task(kind, labels, *metrics):
    return Task("t", KINDS[kind], labels, metrics, {"train": Split([("a",)], [0])}, 16)


def test_scores_are_points_with_the_headline_first():
    # 6 rows: tp 2, fp 1, fn 1, tn 2
    labels = np.array([1, 1, 1, 0, 0, 0])
    logits = np.eye(2)[[1, 1, 0, 1, 0, 0]]
    scores = task("classification", ("no", "yes"), "matthews", "accuracy", "f1").score(
        logits, labels
    )
    assert list(scores) == ["matthews", "accuracy", "f1"]
    assert scores["accuracy"] == pytest.approx(100 * 4 / 6)
    assert scores["f1"] == pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 1))
    assert scores["matthews"] == pytest.approx(100 * (2 * 2 - 1 * 1) / math.sqrt(3 * 3 * 3 * 3))


def test_macro_f1_is_the_mean_over_classes():
    # class 0: F1 = 1; class 1: 2/3 (tp 1, fp 1); class 2: 0 (one missed)
    labels, predicted = np.array([0, 1, 2]), np.array([0, 1, 1])
    assert METRICS["macro_f1"](labels, predicted) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_correlations_tell_linear_from_monotone():
    labels = np.array([0.0, 1.0, 2.0, 3.0])
    scores = task("regression", (), "pearson", "spearman").score(labels[:, None] ** 3, labels)
    assert scores["spearman"] == pytest.approx(100)
    # sums of squares and products about the means 1.5 and 9: 5, 470 and 44
    assert scores["pearson"] == pytest.approx(100 * 44 / math.sqrt(5 * 470))
    falling = task("regression", (), "pearson").score(-labels, labels)
    assert falling["pearson"] == pytest.approx(-100)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "matthews"])
def test_a_constant_prediction_scores_zero_and_not_nan(metric):
    labels = np.array([0, 1, 1, 0])
    assert METRICS[metric](labels, np.array([1, 1, 1, 1])) == 0.0


def test_rounding_noise_counts_as_constant():
    labels = np.array([0.0, 1.0, 2.0])
    assert METRICS["pearson"](labels, np.array([0.1, 0.1 + 1e-16, 0.1 + 2e-17])) == 0.0


def test_a_logit_that_is_not_finite_is_not_scored():
    logits = np.array([[0.0, 1.0], [np.nan, 1.0]])
    with pytest.raises(ValueError, match="not finite in 1 of 2 rows"):
        task("classification", ("a", "b"), "accuracy").score(logits, np.array([1, 1]))


def test_rows_must_match():
    with pytest.raises(ValueError, match="2 rows of logits against 3 labels"):
        task("classification", ("a", "b"), "accuracy").score(np.zeros((2, 2)), np.zeros(3))


def test_num_labels_and_fingerprint():
    a = task("classification", ("a", "b", "c"), "accuracy")
    assert a.num_labels == 3
    assert a.headline == "accuracy"
    assert task("regression", (), "pearson").num_labels == 1
    b = Task("t", KINDS["regression"], (), ("pearson",), {"train": Split([("a",)], [1])}, 16)
    assert len(a.fingerprint["train"]) == 64
    assert a.fingerprint != b.fingerprint
