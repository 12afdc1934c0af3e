"""Embedding as a task: files, pairs as rows, scores by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cofi_cli.architectures import load_tokenizer
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import load_task
from cofi_cli.tasks.builtin.glue import splits_from_hub
from cofi_cli.tasks.teacher.agreement import TeacherAnswers
from tests.tiny_embedder import save_embedder

PAIRS = "sentence1\tsentence2\tscore\na film\tthe film\t4.5\na plot\tthe actor\t0.5\n"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "sts.tsv"
    path.write_text(PAIRS, encoding="utf-8")
    return path


def load(**values: Any) -> Any:
    given = {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
    return load_task(TaskConfig(kind="embedding", **given))


def test_a_text_a_line_each_once(tmp_path: Path, pairs: Path) -> None:
    train = tmp_path / "texts.txt"
    train.write_text("one\n\ntwo, with\ta tab\none\r\n   \nthree", encoding="utf-8")
    task = load(train=train, validation=pairs, test=pairs)
    texts = [("one",), ("two, with\ta tab",), ("three",)]
    assert task.splits["train"].texts == texts and task.splits["train"].labels is None
    assert task.splits["validation"].texts == [("a film", "the film"), ("a plot", "the actor")]
    assert task.splits["validation"].labels == task.splits["test"].labels == [4.5, 0.5]
    assert (task.name, task.headline, task.metrics) == (
        "texts",
        "spearman",
        ("spearman", "pearson"),
    )


def test_each_text_column_holds_texts_and_no_score_is_read(tmp_path: Path, pairs: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("score,question,answer\nbroken,q1,a1\n,q2,a2\n", encoding="utf-8")
    task = load(train=train, validation=pairs)
    assert [text for (text,) in task.splits["train"].texts] == ["q1", "a1", "q2", "a2"]
    task = load(train=train, validation=pairs, text=("question",))
    assert [text for (text,) in task.splits["train"].texts] == ["q1", "q2"]


def test_without_pairs_some_texts_are_held_out(tmp_path: Path) -> None:
    train = tmp_path / "texts.txt"
    lines = [f"text {i}" for i in range(50)]
    train.write_text("\n".join(lines), encoding="utf-8")
    task, again = load(train=train), load(train=train)
    kept, held = ([t for (t,) in task.splits[s].texts] for s in ("train", "validation"))
    assert len(held) == 5 and sorted(kept + held) == sorted(lines)
    assert task.fingerprint == again.fingerprint
    assert task.metrics == ("agreement",) and "5 rows held out from texts.txt" in task.note


FAULTS = {
    "is 'high', which is not a finite number": "a\tb\thigh\n",
    r"line 3: the label \(column 'score'\) is empty": "a\tb\t1.0\na\tb\t\n",
    "line 2: 2 fields": "a\tb\n",
    "has no rows": "",
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_faulty_pair_is_named_by_its_line(tmp_path: Path, message: str) -> None:
    path = tmp_path / "sts.tsv"
    path.write_text("sentence1\tsentence2\tscore\n" + FAULTS[message], encoding="utf-8")
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    with pytest.raises(CofiError, match=message):
        load(train=tmp_path / "texts.txt", validation=path)


def test_what_is_missing_is_said(tmp_path: Path, pairs: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n\n")
    with pytest.raises(CofiError, match="has no texts"):
        load(train=texts, validation=pairs)
    texts.write_text("one\ntwo")
    with pytest.raises(CofiError, match="2 rows of 2 different texts: too few to hold some out"):
        load(train=texts)
    with pytest.raises(CofiError, match="--test needs --validation"):
        load(train=texts, test=pairs)
    with pytest.raises(CofiError, match="No such file") as caught:
        load(train=texts, validation=tmp_path / "none.tsv")
    assert caught.value.exit_code == 6
    single = tmp_path / "one.csv"
    single.write_text("text,score\na,1.5\n")
    with pytest.raises(CofiError, match="have two text columns, sentence1 and sentence2"):
        load(train=texts, validation=single)


def test_stsb_by_name_reads_no_score_of_its_training_rows(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text(PAIRS, encoding="utf-8")
    task = load_task(TaskConfig(name="stsb-embedding", data=str(tmp_path)))
    assert task.splits["train"].labels is None and len(task.splits["train"]) == 4
    assert task.splits["validation"].labels == task.splits["test"].labels == [4.5, 0.5]


def test_the_hubs_splits_become_ours() -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"sentence1": ["a"], "sentence2": ["b"], "score": [0.9]}
    found = {s: datasets.Dataset.from_dict(rows) for s in ("train", "validation", "test")}
    splits = splits_from_hub("stsb", found)
    assert splits["test"].texts == [("a", "b")] and splits["validation"].labels == [0.9]


def test_without_a_network_the_files_that_would_do_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(CofiError, match="sentence-transformers/stsb") as caught:
        load_task(TaskConfig(name="stsb-embedding"))
    assert caught.value.exit_code == 6 and "sentence1, sentence2, score" in str(caught.value.hint)


def test_a_pair_is_two_rows(tmp_path: Path, pairs: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("one\ntwo")
    task = load(train=texts, validation=pairs, max_length=24)
    tokenizer = load_tokenizer(str(save_embedder(tmp_path / "m")))
    encoded = task.encode("validation", tokenizer)
    expected = [tokenizer(t)["input_ids"] for t in ("a film", "the film", "a plot", "the actor")]
    assert [row.tolist() for row in encoded.input_ids] == expected
    assert encoded.labels is None and encoded.reference.tolist() == [4.5, 0.5]
    first = task.encode("validation", tokenizer, limit=1)
    assert len(first) == 2 and first.reference.tolist() == [4.5]
    assert task.encode("train", tokenizer).reference is None


def test_scores_by_hand(tmp_path: Path, pairs: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("one\ntwo")
    task = load(train=texts, validation=pairs)
    angles = [0.2, 1.0, 0.6, 2.0]
    vectors = [v for a in angles for v in ((2.0, 0.0), (math.cos(a) / 3, math.sin(a) / 3))]
    ratings = np.array([5.0, 3.0, 2.0, 1.0])
    found = task.score(np.array(vectors, dtype=np.float32), ratings)
    # Ranks of the cosines are 1, 3, 2, 4 where those of the ratings are 1, 2, 3, 4:
    # Spearman is 1 - 6·(1 + 1) / (4·15).
    assert found["spearman"] == pytest.approx(80.0)
    assert found["pearson"] == pytest.approx(100 * np.corrcoef(np.cos(angles), ratings)[0, 1])
    with pytest.raises(ValueError, match="8 rows of logits against 6"):
        task.score(np.array(vectors), ratings[:3])


def test_held_out_texts_are_scored_by_the_cosine_to_the_teacher(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"text {i}" for i in range(20)))
    task = load(train=texts)
    teacher = np.array([[1.0, 0.0], [0.0, 3.0]])
    found = task.score(np.array([[2.0, 0.0], [1.0, 1.0]]), TeacherAnswers(teacher))
    assert found == {"agreement": pytest.approx(100 * (1 + math.sqrt(0.5)) / 2)}
