"""Scores of parts of the rows: of each label, and of the rows with one value in a column.

They are named ``recall[LABEL]``, ``precision[LABEL]``, ``f1[LABEL]`` and, for each metric of a
task, ``METRIC[COLUMN=VALUE]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

OF_LABELS = ("precision", "recall", "f1")
"""What is known of a label."""


class PartScore(NamedTuple):
    """Points, and the rows (of tags: entities) that they are of."""

    score: float
    rows: int


class Counts(NamedTuple):
    """How often a label was given rightly, given at all, and should have been given."""

    right: int
    found: int
    wanted: int


def label_counts(
    gold: NDArray[Any], predicted: NDArray[Any], labels: Sequence[str]
) -> dict[str, Counts]:
    """Return the counts of each label; both are of bool, (rows, C)."""
    right, found, wanted = (own.sum(0) for own in (gold & predicted, predicted, gold))
    return {label: Counts(*map(int, of)) for label, *of in zip(labels, right, found, wanted)}


def label_scores(counts: Mapping[str, Counts]) -> Iterator[tuple[str, PartScore]]:
    """Yield the scores of each label by name; those that are not defined are left out.

    There are none of a label that no row has, and no precision where a model gives it to none.
    """
    for label, (right, found, wanted) in counts.items():
        shares = zip(OF_LABELS, (right, right, 2 * right), (found, wanted, found + wanted))
        for metric, part, whole in shares:
            if wanted and whole:
                yield f"{metric}[{label}]", PartScore(100.0 * part / whole, wanted)


def groups_of(
    columns: Mapping[str, Sequence[str]], rows: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield ``COLUMN=VALUE`` and the numbers of its rows, among the first so many rows."""
    for name, values in columns.items():
        own = np.asarray(values[:rows], dtype=object)
        for value in dict.fromkeys(own):
            yield f"{name}={value}", np.flatnonzero(own == value)
