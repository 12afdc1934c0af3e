"""Passages ranked for queries, by one logit a pair."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.kind import Fitted
from cofi_cli.tasks.kinds.regression import Regression
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.ranking import (
    RANKING_METRICS,
    RankingGold,
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
    pipeline = "text-ranking"
    is_cross_encoder = True

    def _encode(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise pairs; ``gold`` is a :class:`RankingGold`."""
        encoded = super()._encode(split, tokenizer, max_length)
        if split.labels is None:
            return encoded
        grades = np.asarray(split.labels, dtype=np.float64)
        labels = grades.astype(np.float32)
        return replace(encoded, labels=labels, gold=RankingGold(queries_of(split), grades))

    def score(
        self, outputs: Any, reference: Any, labels: Sequence[str], metrics: Sequence[str]
    ) -> dict[str, float]:
        """Score one logit a pair, by query."""
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1)
        found = ranking_scores(finite(logits, len(reference.query)), reference)
        return {name: 100.0 * found[name] for name in metrics}

    def group(self, row: tuple[str, ...]) -> str:
        """Return the query."""
        return row[0]

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a cross-encoder, 1 for another pooled head with one output."""
        found = super().fits(teacher)
        return found and 3 - found


KIND = Ranking()
