"""F1 and exact match of answers, as SQuAD's official scripts define them (1.1 and 2.0)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=1 << 17)
def words(text: str) -> tuple[str, ...]:
    """Return what counts of an answer: lower case, no punctuation, no articles."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the F1 of two bags of words; two empty ones agree wholly (2.0)."""
    if not gold or not predicted:
        return float(gold == predicted)
    same = sum((Counter(gold) & Counter(predicted)).values())
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall) if same else 0.0


def score_answer(answers: Sequence[str], predicted: str) -> tuple[float, float]:
    """Return F1 and exact match, 0 to 1, the best over all right answers; none stands for ``""``.

    Right answers of articles and punctuation alone do not count, as in 2.0's script. 1.1's would
    call an empty prediction exactly right there, with an F1 of 0; its data has no such answer.
    """
    golds = {own for answer in answers if (own := words(answer))} or {()}
    own = words(predicted)
    return max(token_f1(gold, own) for gold in golds), float(own in golds)


def best_score(
    scores: NDArray[np.float64], none_margin: NDArray[np.float64], has_answer: NDArray[np.bool_]
) -> float:
    """Return the mean score at the best threshold for giving no answer (2.0).

    Args:
        scores: (Q,) of the answers that would be given.
        none_margin: (Q,) how much better no answer looks.
        has_answer: (Q,) whether there is one.

    With a threshold that lets nothing pass, every question without an answer is right. Letting
    questions pass one by one adds what their answers score, or takes the point for none away.
    """
    gains = np.where(has_answer, scores, -1.0)[np.argsort(none_margin, kind="stable")]
    nothing = float((~has_answer).sum())
    return (nothing + max(0.0, float(np.cumsum(gains).max(initial=0.0)))) / len(scores)
