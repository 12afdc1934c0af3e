"""Passages ranked for queries by one logit a pair: groups and their metrics.

NDCG after Järvelin and Kekäläinen (2002) with a grade as its own gain, as trec_eval has it; so
it does not change when all grades are scaled. Relevant, for MRR and MAP, is a grade above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.errors import CofiError
from cofi_cli.tasks.rows import Split

RANKING_METRICS = ("ndcg@10", "mrr@10", "map")
DEPTH = 10
"""Passages of a query that NDCG and MRR look at."""


@dataclass(frozen=True)
class RankingGold:
    """What a split's rankings are held against.

    Attributes:
        query: (rows,) number of the row's query.
        grade: (rows,) relevance, 0 = not.
    """

    query: NDArray[np.int64]
    grade: NDArray[np.float64]


def queries_of(split: Split) -> NDArray[np.int64]:
    """Return the number of each row's query, (rows,); rows of equal query texts are a group."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text[0], len(numbers)) for text in split.texts], np.int64)


def groups_left_out(split: Split, name: str) -> str:
    """Return a note on the groups that the metrics leave out, empty where there are none.

    Raises:
        CofiError: there is no group to score, or nothing to rank in any.
    """
    gold = RankingGold(queries_of(split), np.asarray(split.labels, dtype=np.float64))
    sizes = np.bincount(gold.query)
    relevant = np.bincount(gold.query, weights=gold.grade > 0)
    if not (relevant > 0).any():
        raise CofiError(f"No query of the {name} rows has a relevant passage: nothing to score.")
    if (sizes == 1).all():
        raise CofiError(
            f"Each query of the {name} rows has one passage only: there is nothing to rank.",
            hint="A ranking needs all candidates of a query, one a row, the query repeated. "
            "For pairs with a number each: --kind regression",
        )
    left_out = int((relevant == 0).sum())
    if not left_out:
        return ""
    return (
        f"{left_out} of {len(sizes)} queries of the {name} rows have no relevant passage and "
        "are left out of the scores."
    )


def ranking_scores(logits: NDArray[Any], gold: RankingGold) -> dict[str, float]:
    """Return the metrics as fractions, the mean over queries with a relevant passage.

    Ties are broken against the model: among equal logits the least relevant comes first, so
    that a constant earns nothing.

    Args:
        logits: (rows,).
        gold: of the same rows.
    """
    order = np.lexsort((gold.grade, -logits, gold.query))
    grades = np.split(gold.grade[order], np.cumsum(np.bincount(gold.query))[:-1])
    found = [_score_one(grade) for grade in grades if (grade > 0).any()]
    if not found:
        return dict.fromkeys(RANKING_METRICS, 0.0)
    return dict(zip(RANKING_METRICS, np.mean(found, axis=0).tolist(), strict=True))


def _score_one(ranked: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return NDCG@10, the reciprocal rank within 10, and average precision of one ranking."""
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    top, ideal = ranked[:DEPTH], np.sort(ranked)[::-1][:DEPTH]
    ndcg = (top * discount[: len(top)]).sum() / (ideal * discount[: len(ideal)]).sum()
    ranks = np.flatnonzero(ranked > 0) + 1
    reciprocal = 1 / ranks[0] if ranks[0] <= DEPTH else 0.0
    precision = (np.arange(len(ranks)) + 1) / ranks
    return float(ndcg), float(reciprocal), float(precision.mean())
