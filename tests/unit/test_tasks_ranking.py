"""Rankings: how files write them, every fault with its text, and the metrics by query."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import load_task
from cofi_cli.tasks.metrics.ranking import RankingGold, ranking_scores

ROWS = "query,passage,relevance\nq1,a,2\nq1,b,0\nq2,c,1\nq2,d,0\n"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(train=ROWS, validation=ROWS, **options):
    for name, content in (("train", train), ("dev", validation)):
        Path(f"{name}.csv").write_text(content, encoding="utf-8")
    given = {"kind": "ranking", "train": "train.csv", "validation": "dev.csv"} | options
    return load_task(TaskConfig(**given))


def fault(*args, **options) -> CofiError:
    with pytest.raises(CofiError) as caught:
        load(*args, **options)
    return caught.value


def test_grades_are_scaled_for_the_loss_and_that_is_said():
    task = load()
    assert task.splits["train"].texts[0] == ("q1", "a")
    assert task.splits["train"].labels == [1.0, 0.0, 0.5, 0.0]
    assert (task.num_labels, task.headline) == (1, "ndcg@10")
    assert task.note == "Relevance, 0 to 2, is divided by 2 for the loss."
    plain = load(ROWS.replace(",2\n", ",true\n"), ROWS.replace(",2\n", ",1\n"))
    assert plain.splits["train"].labels == [1.0, 0.0, 1.0, 0.0]
    assert plain.note == ""


@pytest.mark.parametrize("second", ["passage", "document", "answer", "text"])
@pytest.mark.parametrize("label", ["label", "score", "relevance"])
def test_guessed_columns(second, label):
    rows = ROWS.replace("passage", second).replace("relevance", label)
    assert load(rows, rows).splits["validation"].texts[1] == ("q1", "b")


def test_queries_without_a_relevant_passage_are_counted():
    task = load(ROWS, ROWS + "q3,e,0\n")
    assert "1 of 3 queries of the validation rows have no relevant passage" in task.note


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        (
            ROWS.replace("b,0", "b,-1"),
            ROWS,
            "train.csv, line 3: relevance -1 (column 'relevance') is below 0.",
        ),
        (
            ROWS.replace("b,0", "b,no"),
            ROWS,
            "train.csv, line 3: the label (column 'relevance') is 'no', which is not a finite "
            "number.",
        ),
        (
            "query,passage,relevance\nq,a,0\n",
            ROWS,
            "train.csv has no relevant passage: column 'relevance' is 0 in all rows.",
        ),
        (
            "text,label\na,1\n",
            ROWS,
            "train.csv: rows of --kind ranking have two text columns, query and passage; found is "
            "text. Its columns: text, label.",
        ),
        (
            ROWS,
            "query,passage,relevance\nq1,a,0\nq1,b,0\n",
            "No query of the validation rows has a relevant passage: nothing to score.",
        ),
        (
            ROWS,
            "query,passage,relevance\nq1,a,1\nq2,b,0\n",
            "Each query of the validation rows has one passage only: there is nothing to rank.",
        ),
    ],
)
def test_faults(train, validation, message):
    assert fault(train, validation).message == message


def random_gold(seed, queries=12):
    rng = np.random.default_rng(seed)
    query = rng.integers(0, queries, 260)
    grade = rng.integers(0, 4, 260) / 3 * (rng.random(260) < 0.3)
    grade[query == 3] = 0.0  # a query that is left out
    return RankingGold(query, grade), rng.normal(size=260)


def test_scores_are_those_of_sklearn_by_query():
    """Without ties; scikit-learn's NDCG has linear gains too."""
    gold, logits = random_gold(0)
    groups = [gold.query == q for q in range(12) if gold.grade[gold.query == q].any()]
    assert len(groups) == 11
    ndcg = [ndcg_score([gold.grade[g]], [logits[g]], k=10) for g in groups]
    precision = [average_precision_score(gold.grade[g] > 0, logits[g]) for g in groups]
    found = ranking_scores(logits, gold)
    assert found["ndcg@10"] == pytest.approx(np.mean(ndcg))
    assert found["map"] == pytest.approx(np.mean(precision))


def test_reciprocal_ranks_end_at_ten():
    gold = RankingGold(np.repeat([0, 1], 12), np.zeros(24))
    gold.grade[[2, 11 + 12]] = 1.0  # third, and twelfth
    found = ranking_scores(np.tile(-np.arange(12.0), 2), gold)
    assert found["mrr@10"] == pytest.approx((1 / 3 + 0) / 2)
    assert found["map"] == pytest.approx((1 / 3 + 1 / 12) / 2)
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(4) + 0) / 2)


def test_ties_go_against_the_model_wherever_the_rows_stand():
    for place in range(4):
        grade = np.zeros(4)
        grade[place] = 1.0
        found = ranking_scores(np.zeros(4), RankingGold(np.zeros(4, dtype=np.int64), grade))
        assert found["mrr@10"] == found["map"] == pytest.approx(1 / 4)


def test_scaling_grades_changes_no_metric():
    gold, logits = random_gold(1)
    scaled = RankingGold(gold.query, gold.grade * 3)
    assert ranking_scores(logits, scaled) == pytest.approx(ranking_scores(logits, gold))


def test_sentence_transformers_agrees():
    """Its reranking evaluator, the reference for cross-encoders, on relevance of 0 and 1."""
    evaluation = pytest.importorskip("sentence_transformers.cross_encoder.evaluation")
    gold, logits = random_gold(2)
    gold = RankingGold(gold.query, (gold.grade > 0).astype(float))

    class Model:
        model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_: None)

        def predict(self, pairs, **_):
            return np.array([logits[int(passage)] for _, passage in pairs])

    samples = [
        {
            "query": str(q),
            "positive": [str(i) for i in np.flatnonzero((gold.query == q) & (gold.grade > 0))],
            "negative": [str(i) for i in np.flatnonzero((gold.query == q) & (gold.grade == 0))],
        }
        for q in range(12)
    ]
    evaluator = evaluation.CrossEncoderRerankingEvaluator(
        samples=[s for s in samples if s["positive"]], at_k=10, write_csv=False
    )
    theirs = evaluator(Model())
    found = ranking_scores(logits, gold)
    for name in ("ndcg@10", "mrr@10", "map"):
        assert found[name] == pytest.approx(theirs[name]), name


def test_the_task_scores_by_query():
    from tests.unit.test_tasks_encoding import tokenizer

    task = load(max_length=16)
    encoded = task.encode("validation", tokenizer())
    assert encoded.labels.tolist() == [1.0, 0.0, 0.5, 0.0]
    scores = task.score(np.array([[0.0], [1.0], [2.0], [1.0]]), encoded.reference)
    assert scores["mrr@10"] == pytest.approx(100 * (1 / 2 + 1) / 2)
    assert list(scores) == ["ndcg@10", "mrr@10", "map"]
