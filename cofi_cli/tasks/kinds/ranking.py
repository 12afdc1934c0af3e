"""Passages ranked for queries, by one logit a pair.

Relevance is 0 or 1, or graded. For the loss, grades are divided by the largest one of the training
file, where that is above 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.files.file import Ask, Labels
from cofi_cli.tasks.files.labels import to_numbers
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Fitted, Names, Scores
from cofi_cli.tasks.kinds.regression import Regression
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.ranking import (
    RANKING_METRICS,
    RankingGold,
    groups_left_out,
    queries_of,
    ranking_scores,
)
from cofi_cli.tasks.rows import Split


class Ranking(Regression):
    """Queries and passages, each pair with its relevance from 0 to 1."""

    name = "ranking"
    summary = "how well a text answers a query"
    trained_as = "multi_label_classification"
    metrics = RANKING_METRICS
    agreement = "Pearson correlation with the teacher's scores"
    group_name = "queries"
    group_at = 0
    pipeline = "text-ranking"
    is_cross_encoder = True
    pair = ("query", "passage")

    def shown_by(self, values: Sequence[object]) -> bool:
        """Return no: labels look like a classification's, or a regression's."""
        return False

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read grades, divided so that none in training is above 1."""
        grades = _grades(table, columns[0])
        if (known := ask.known) is not None and known.how is not None:
            return Labels([grade / known.how for grade in grades], how=known.how)
        largest = max(grades)
        if largest == 0:
            raise CofiError(
                f"{table.path} has no relevant passage: column '{columns[0]}' is 0 in all rows.",
                hint="Relevance is 0 or 1, or graded, the higher the better: --label COLUMN",
            )
        scale, note = max(1.0, largest), ""
        if scale > 1:
            note = f"Relevance, 0 to {scale:g}, is divided by {scale:g} for the loss."
        return Labels([grade / scale for grade in grades], how=scale, note=note)

    def measured(self, splits: Mapping[str, Split]) -> tuple[tuple[str, ...], list[str]]:
        """Return the metrics, and how many queries they leave out."""
        scored = {k: own for k, own in splits.items() if k != "train" and own.labels is not None}
        return self.metrics, [groups_left_out(split, name) for name, split in scored.items()]

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise pairs; ``gold`` is a :class:`RankingGold`."""
        encoded = super().rows_of(split, tokenizer, max_length)
        if split.labels is None:
            return encoded
        grades = np.asarray(split.labels, dtype=np.float64)
        labels = grades.astype(np.float32)
        return replace(encoded, labels=labels, gold=RankingGold(queries_of(split), grades))

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score one logit a pair, by query."""
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1)
        found = ranking_scores(finite(logits, len(reference.query)), reference)
        return {name: 100.0 * found[name] for name in metrics}

    def units(self, reference: Any) -> int:
        """Return the number of queries."""
        return int(reference.query.max()) + 1

    def some(self, outputs: Any, reference: Any, kept: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return the passages of some of the queries."""
        rows = kept[reference.query]
        return np.asarray(outputs)[rows], RankingGold(reference.query[rows], reference.grade[rows])

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a cross-encoder, 1 for another pooled head with one output."""
        found = super().fits(teacher)
        return found and 3 - found


def _grades(table: Table, column: str) -> list[float]:
    flags = {"true": 1, "false": 0}
    plain = [flags.get(str(value).strip().lower(), value) for value in table.columns[column]]
    grades = to_numbers(Table(table.path, {column: plain}, table.lines, table.unit), column)
    for row, grade in enumerate(grades):
        if grade < 0:
            raise CofiError(
                f"{table.place(row)}: relevance {grade:g} (column '{column}') is below 0.",
                hint="0 is not relevant; the higher, the more relevant.",
            )
    return grades


KIND = Ranking()
