"""Answers and their scores, against SQuAD's definitions worked out by hand, and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from cofi_cli.tasks import KINDS, Ragged, Split, Task
from cofi_cli.tasks.encoding.questions import SpanGold
from cofi_cli.tasks.kinds.span import ANSWERED, WITH_NONE
from cofi_cli.tasks.metrics.answers import (
    MAX_ANSWER_TOKENS,
    best_score,
    best_span,
    find_answers,
    score_answer,
    words,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The Cat, an  animal!", "cat animal"),
        ("a-b", "ab"),  # punctuation goes first, so nothing is left of the article
        ("Théâtre (the)", "théâtre"),
        ("U.S.A.", "usa"),
        ("another theme", "another theme"),
        ("the", ""),
    ],
)
def test_what_counts_of_an_answer(text: str, kept: str) -> None:
    assert " ".join(words(text)) == kept


@pytest.mark.parametrize(
    ("answers", "predicted", "f1", "exact"),
    [
        (["Denver Broncos"], "the denver broncos.", 1.0, 1.0),
        # One of two words in common with one of three: 2 · 1/2 · 1/3 / (1/2 + 1/3).
        (["big red dog"], "red cat", 0.4, 0.0),
        # Words count as often as they occur: 2 in common, 2/3 and 2/2.
        (["very very good"], "very very", 0.8, 0.0),
        # The best answer of several, for each metric.
        (["in the year 1999", "1999"], "year 1999", 0.8, 0.0),
        (["yes"], "no", 0.0, 0.0),
        (["yes"], "", 0.0, 0.0),
        ([], "", 1.0, 1.0),
        ([], "yes", 0.0, 0.0),
        # 2.0: an answer of articles alone is no answer to find.
        (["the"], "", 1.0, 1.0),
    ],
)
def test_an_answers_score(answers: list[str], predicted: str, f1: float, exact: float) -> None:
    assert score_answer(answers, predicted) == (pytest.approx(f1), exact)


def test_the_best_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 9, 30):
        scores, margin = rng.random(count), rng.normal(size=count).round(1)
        has_answer = rng.random(count) < 0.5
        scores[~has_answer] = 0.0
        # Every threshold by itself; questions of one margin pass in any order, as they come.
        order = np.argsort(margin, kind="stable")
        tried = []
        for passing in range(count + 1):
            given = order[:passing]
            right = np.where(has_answer, 0.0, 1.0)
            right[given] = scores[given]
            tried.append(right.mean())
        assert best_score(scores, margin, has_answer) == pytest.approx(max(tried))


def test_the_best_span_is_the_best_of_all() -> None:
    rng = np.random.default_rng(5)
    for length in (1, 2, 29, 30, 31, 80):
        start, end = rng.normal(size=(2, length))
        spans = [
            (i, j) for i in range(length) for j in range(i, min(length, i + MAX_ANSWER_TOKENS))
        ]
        best = max(spans, key=lambda span: start[span[0]] + end[span[1]])
        i, j, score = best_span(start, end)
        assert (i, j) == best
        assert score == pytest.approx(start[i] + end[j])


CONTEXT = "Ada wrote it in London"
OFFSETS = [(0, 3), (4, 9), (10, 12), (13, 15), (16, 22)]


def gold(answers: list[list[str]], windows: list[list[tuple[int, int]]]) -> SpanGold:
    """One context; a feature is [CLS] q [SEP] window [SEP], a window (first token, tokens)."""
    return SpanGold(
        contexts=[CONTEXT],
        offsets=Ragged([OFFSETS]),
        context_of=np.zeros(len(answers), dtype=np.int64),
        answers=answers,
        question_of=np.repeat(np.arange(len(answers)), [len(own) for own in windows]),
        windows=np.array([(3, *window) for own in windows for window in own]),
    )


def feature(size: int, *, none: float, **marks: tuple[float, float]) -> np.ndarray:
    """Scores of a feature: 0 but for [CLS] and the tokens named t0, t1, ... of its window."""
    row = np.zeros((size + 4, 2), dtype=np.float32)
    row[0] = none / 2
    for name, values in marks.items():
        row[3 + int(name[1:])] = values
    return row


def test_features_of_a_question_are_one() -> None:
    """The best span of its windows, the no-answer score of the window that says least."""
    reference = gold([["London"]], [[(0, 3), (2, 3)]])
    rows = [feature(3, none=9.0, t0=(2, 2)), feature(3, none=-2.0, t1=(3, 0), t2=(0, 4))]
    texts, margin = find_answers(Ragged(rows, np.float32), reference)
    assert texts == ["in London"]
    assert margin.tolist() == [-2.0 - 7.0]


def test_question_and_special_tokens_are_no_answer() -> None:
    reference = gold([["Ada"]], [[(0, 5)]])
    row = feature(5, none=50.0, t0=(1, 1))
    row[1] = 40.0  # the question
    row[2] = row[-1] = 30.0  # [SEP]
    assert find_answers(Ragged([row], np.float32), reference)[0] == ["Ada"]


def task(metrics: tuple[str, ...]) -> Task:
    return Task("qa", KINDS["span"], (), metrics, {"train": Split([("q", "c")], None)}, 32)


def test_scores_where_every_question_has_an_answer() -> None:
    """The score of [CLS] plays no part."""
    reference = gold([["Ada"], ["in London"]], [[(0, 5)], [(0, 5)]])
    rows = [feature(5, none=99, t0=(1, 1)), feature(5, none=99, t4=(1, 1))]
    scores = task(ANSWERED).score(Ragged(rows, np.float32), reference)
    assert scores == {"f1": pytest.approx(100 * (1 + 2 / 3) / 2), "exact_match": 50.0}
    assert next(iter(scores)) == "f1", "the headline"


def test_scores_where_a_question_may_have_none() -> None:
    """Three questions; at threshold 0 the second is wrongly answered, the third wrongly not.

    Margins of none over the best span are -1, -0.5 and 2: a threshold between the first two
    gets two of three right, one above all gets two right (with "Ada" and "London").
    """
    reference = gold([["Ada"], [], ["London"]], [[(0, 5)]] * 3)
    rows = [
        feature(5, none=1, t0=(1, 1)),
        feature(5, none=1.5, t1=(1, 1)),
        feature(5, none=4, t4=(1, 1)),
    ]
    scores = task(WITH_NONE).score(Ragged(rows, np.float32), reference)
    third = pytest.approx(100 / 3)
    assert scores == {
        "f1": third,
        "exact_match": third,
        "best_f1": pytest.approx(200 / 3),
        "best_exact_match": pytest.approx(200 / 3),
    }
    again = task(WITH_NONE).score(
        Ragged([rows[0], feature(5, none=2.5, t1=(1, 1)), rows[2]], np.float32), reference
    )
    assert again["f1"] == pytest.approx(200 / 3), "none scores more than the span: no answer"


def test_scores_refuse_what_does_not_fit() -> None:
    reference = gold([["Ada"]], [[(0, 5)]])
    with pytest.raises(ValueError, match="2 rows of logits against 1 features"):
        task(ANSWERED).score(Ragged([feature(5, none=0)] * 2, np.float32), reference)
    bad = feature(5, none=0, t1=(float("nan"), 0))
    with pytest.raises(ValueError, match="not finite in 1 of 1 rows"):
        task(ANSWERED).score(Ragged([bad], np.float32), reference)
