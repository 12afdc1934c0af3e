"""From start and end scores to answers, and to SQuAD's metrics.

F1 and exact match are those of SQuAD's official scripts (1.1 and 2.0).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cofi_cli.tasks.encoded import Ragged
from cofi_cli.tasks.encoding.questions import SpanGold

MAX_ANSWER_TOKENS = 30
"""BERT's run_squad (max_answer_length)."""
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def best_span(start: NDArray[Any], end: NDArray[Any]) -> tuple[int, int, float]:
    """Return the span of the greatest start + end, at most :data:`MAX_ANSWER_TOKENS` long.

    All spans are compared, not only those among the twenty best starts and ends, as is common
    to save time: it is the same answer wherever the twenty hold the best.

    Args:
        start, end: (T,) scores of the context's tokens, T > 0.
    """
    closed = np.full(MAX_ANSWER_TOKENS - 1, -np.inf)
    totals = start[:, None] + sliding_window_view(
        np.concatenate([end, closed]), MAX_ANSWER_TOKENS
    )  # (T, 30): the span that starts at a token and is so much longer
    first, more = divmod(int(totals.argmax()), MAX_ANSWER_TOKENS)
    return first, first + more, float(totals[first, more])


def find_answers(outputs: Ragged, gold: SpanGold) -> tuple[list[str], NDArray[np.float64]]:
    """Return the best answer over all features of each question.

    No answer scores what start and end say of [CLS], in the feature that says least.

    Returns:
        The best spans, ``""`` where the context has no token; and how much more no answer scores
        than they do, start plus end, (Q,).
    """
    count = len(gold.context_of)
    texts, scores = [""] * count, np.full(count, -np.inf)
    none_scores = np.full(count, np.inf)
    for feature, question in enumerate(gold.question_of):
        row = outputs[feature].astype(np.float64)
        none_scores[question] = min(none_scores[question], row[0].sum())
        lead, first, size = gold.windows[feature]
        if size == 0:
            continue
        begin, end, score = best_span(*row[lead : lead + size].T)
        if score > scores[question]:
            context = gold.context_of[question]
            offsets = gold.offsets[context]
            chars = slice(offsets[first + begin, 0], offsets[first + end, 1])
            texts[question], scores[question] = gold.contexts[context][chars], score
    return texts, none_scores - scores


def span_scores(outputs: Any, reference: SpanGold, *, has_none: bool) -> dict[str, float]:
    """Score start and end scores, a row of (length, 2) a feature, as fractions.

    Where a question may have no answer (``has_none``), ``f1`` and ``exact_match`` give none if
    it scores more than the best span.

    Raises:
        ValueError: there are more or fewer rows than features, or a score is not finite.
    """
    rows = len(reference.question_of)
    if len(outputs) != rows:
        raise ValueError(f"{len(outputs)} rows of logits against {rows} features.")
    bad = sum(not np.isfinite(outputs[row]).all() for row in range(rows))
    if bad:
        raise ValueError(f"The model's output is not finite in {bad} of {rows} rows.")
    texts, margin = find_answers(outputs, reference)
    has_answer = np.array([bool(answers) for answers in reference.answers])
    whole = np.array([score_answer(*pair) for pair in zip(reference.answers, texts)])
    given = whole
    if has_none:
        given = np.where((margin > 0)[:, None], ~has_answer[:, None], whole)
    values = dict(zip(("f1", "exact_match"), given.mean(axis=0)))
    for column, name in enumerate(("best_f1", "best_exact_match")):
        values[name] = best_score(whole[:, column], margin, has_answer)
    return {name: float(value) for name, value in values.items()}


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
