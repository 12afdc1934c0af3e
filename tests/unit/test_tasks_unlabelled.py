"""Texts and a teacher: what is read, what is held out, what labels are called, and agreement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import UNREACHABLE, USAGE, CofiError
from cofi_cli.tasks import KINDS, Ragged, Taught, load_task
from cofi_cli.tasks.files.file import Ask, File
from cofi_cli.tasks.teacher.agreement import (
    TeacherAnswers,
    agreement,
    load_answers,
    save_answers,
)
from cofi_cli.tasks.teacher.hold_out import hold_out

CLASSES = Taught("some/teacher", KINDS["classification"], ("bad", "good"))
NUMBER = Taught("some/teacher", KINDS["regression"], ())
RANKS = Taught("some/teacher", KINDS["ranking"], ())
TEXTS = [f"text number {i}" for i in range(60)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")


def read_text_rows(name, kind, config):
    return KINDS[kind].read(File(name), Ask(config, labels=())).split.texts


def load(taught=CLASSES, **options):
    return load_task(TaskConfig(**({"train": "texts.txt", "unlabelled": True} | options)), taught)


def fault(taught=CLASSES, **options) -> CofiError:
    with pytest.raises(CofiError) as caught:
        load(taught, **options)
    return caught.value


# --- what is read


def test_a_line_is_a_text_and_some_are_held_out():
    task = load()
    assert task.kind.name == "classification" and task.labels == ("bad", "good")
    assert task.metrics == ("agreement",)
    train, held = (task.splits[name] for name in ("train", "validation"))
    assert train.labels is None and held.labels is None
    assert (len(train), len(held)) == (54, 6)
    assert sorted(train.texts + held.texts) == sorted((text,) for text in TEXTS)
    assert "Agreement is not accuracy" in task.note
    assert "6 rows held out from texts.txt" in task.note and "'some/teacher'" in task.note


@pytest.mark.parametrize("nonsense", [["?"], [{}, None, 3.5], [["a"], "b", ""]])
@pytest.mark.parametrize("column", ["label", "score", "whatever"])
def test_labels_are_not_read(nonsense, column):
    """Rows with any nonsense for labels make the same task as the texts alone."""
    rows = [
        {"id": i, column: nonsense[i % len(nonsense)], "text": text} for i, text in enumerate(TEXTS)
    ]
    Path("texts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    plain, task = load(), load(train="texts.jsonl")
    assert task.fingerprint == plain.fingerprint
    assert task.splits == plain.splits


def test_pairs_and_named_columns():
    rows = "".join(f"q{i // 4},p{i},nonsense\n" for i in range(80))
    Path("pairs.csv").write_text("query,passage,score\n" + rows)
    task = load(RANKS, train="pairs.csv")
    held = {query for query, _ in task.splits["validation"].texts}
    assert held.isdisjoint(query for query, _ in task.splits["train"].texts)
    assert len(task.splits["validation"]) == 8, "two queries, whole"
    assert (
        load(RANKS, train="pairs.csv", text=("passage", "query")).splits["train"].texts[0][0][0]
        == "p"
    )


def test_words_of_every_file():
    config = TaskConfig()
    Path("a.txt").write_text("Ada was here\n\nBob too\n")
    Path("a.conll").write_text(
        "-DOCSTART- X\n\nAda NNP B-PER\nwas VBD O\nhere RB O\n\nBob NNP ?\ntoo RB O"
    )
    Path("a.jsonl").write_text(
        '{"tokens": ["Ada", "was", "here"], "tags": 7}\n{"tokens": ["Bob", "too"]}\n'
    )
    Path("a.csv").write_text("text,tags\nAda was here,??\nBob too,\n")
    expected = [("Ada", "was", "here"), ("Bob", "too")]
    for name in ("a.txt", "a.conll", "a.jsonl", "a.csv"):
        assert read_text_rows(name, "tokens", config) == expected, name


def test_words_are_in_the_column_that_is_named():
    """Numbered words, as in CoNLL-U, are not their numbers; a word may hold a hard space."""
    rows = "\n\n".join(f"1\tthe\tO\n2\tNew\u00a0York{i}\tB-place" for i in range(3))
    Path("a.conll").write_text(rows, encoding="utf-8")
    config = TaskConfig(text=("2",))
    expected = [("the", f"New\u00a0York{i}") for i in range(3)]
    assert read_text_rows("a.conll", "tokens", config) == expected


def test_questions_of_squads_json_and_of_columns():
    entry = {"question": "Who?", "answers": "nonsense"}
    whole = {"data": [{"paragraphs": [{"context": "Ada.", "qas": [entry]}]}]}
    Path("q.json").write_text(json.dumps(whole))
    Path("q.csv").write_text("question,context,answers\nWho?,Ada.,nonsense\n")
    for name in ("q.json", "q.csv"):
        assert read_text_rows(name, "span", TaskConfig()) == [("Who?", "Ada.")]
    Path("q.json").write_text('{"data": [{"paragraphs": [{}]}]}')
    with pytest.raises(CofiError, match=r"paragraphs\[0\].context is missing"):
        read_text_rows("q.json", "span", TaskConfig())


def test_the_label_column_of_a_built_in_task_is_not_read():
    Path("train.tsv").write_text(
        "sentence\tlabel\n" + "".join(f"{text}\tnonsense\n" for text in TEXTS)
    )
    Path("dev.tsv").write_text("sentence\tlabel\nx\t1\ny\tnegative\n")
    taught = Taught("t", KINDS["classification"], ("negative", "positive"))
    given = {"name": "sst2", "data": ".", "train": None}
    task = load(taught, **given)
    assert task.splits["train"].labels is None
    assert (task.metrics, task.splits["validation"].labels) == (("accuracy",), [1, 0])
    assert "Learned from the answers of 't' on 60 texts" in task.note
    with pytest.raises(CofiError, match="label 'nonsense'"):
        load_task(TaskConfig(name="sst2", data="."))
    Path("dev.tsv").unlink()
    task = load(taught, **given)
    assert task.metrics == ("agreement",) and len(task.splits["validation"]) == 6


# --- labels of rows to score on


def test_a_labelled_validation_file_is_scored_with_the_tasks_metric():
    Path("dev.csv").write_text("text,label\na,good\nb,bad\nc,good\n")
    task = load(validation="dev.csv")
    assert task.metrics == ("accuracy", "macro_f1")
    assert task.splits["validation"].labels == [1, 0, 1]
    assert len(task.splits["train"]) == 60, "nothing is held out"
    Path("dev.csv").write_text("text,label\na,1\nb,0\n")
    assert load(validation="dev.csv").splits["validation"].labels == [1, 0]


def test_a_validation_file_without_labels_is_scored_by_agreement():
    Path("dev.csv").write_text("text,other\na,1\nb,0\n")
    Path("dev.txt").write_text("a\nb\n")
    for name in ("dev.csv", "dev.txt"):
        task = load(validation=name)
        assert task.metrics == ("agreement",)
        assert task.splits["validation"].texts == [("a",), ("b",)]


def test_numbers_sets_and_grades_to_score_on():
    Path("dev.csv").write_text("text,score\na,1.5\nb,2\n")
    assert load(NUMBER, validation="dev.csv").splits["validation"].labels == [1.5, 2.0]
    Path("dev.jsonl").write_text('{"text": "a", "labels": ["y"]}\n{"text": "b", "labels": []}')
    taught = Taught("t", KINDS["multilabel"], ("x", "y"))
    task = load(taught, validation="dev.jsonl")
    assert task.splits["validation"].labels == [[0.0, 1.0], [0.0, 0.0]]
    assert task.headline == "micro_f1"
    Path("pairs.csv").write_text("query,passage\n" + "".join(f"q{i},p\n" for i in range(30)))
    Path("dev.csv").write_text("query,passage,label\nq,a,1\nq,b,0\n")
    task = load(RANKS, train="pairs.csv", validation="dev.csv")
    assert task.headline == "ndcg@10" and len(task.splits["train"]) == 30


def test_a_built_in_task_takes_the_teachers_order_of_labels():
    """MNLI's checkpoints do not agree on theirs."""
    for name in ("train", "dev_matched"):
        Path(f"{name}.tsv").write_text(
            "sentence1\tsentence2\tgold_label\na\tb\tneutral\nc\td\tentailment\n"
        )
    taught = Taught("t", KINDS["classification"], ("CONTRADICTION", "ENTAILMENT", "NEUTRAL"))
    task = load(taught, name="mnli", data=".", train=None)
    assert task.labels == taught.labels
    assert task.splits["validation"].labels == [2, 1]
    unnamed = Taught("t", KINDS["classification"], ("LABEL_0", "LABEL_1", "LABEL_2"))
    task = load(unnamed, name="mnli", data=".", train=None)
    assert task.splits["validation"].labels == [1, 0]


# --- faults


def test_without_a_teacher():
    error = fault(None)
    assert error.message == (
        "--unlabelled needs a teacher: without labels there is nothing else to learn from."
    )
    assert error.exit_code == USAGE
    assert error.hint is not None and "--teacher DIR" in error.hint


def test_faults():
    Path("few.txt").write_text("\n".join(TEXTS[:19]))
    assert fault(train="few.txt").message == (
        "few.txt has 19 rows of 19 different texts: too few to hold some out; 20 rows is the least."
    )
    Path("same.txt").write_text("same\n" * 50)
    assert "50 rows of 1 different texts" in fault(train="same.txt").message
    Path("empty.txt").write_text("\n\n")
    assert fault(train="empty.txt").message == "empty.txt has no texts."
    assert fault(train="absent.txt").exit_code == UNREACHABLE
    assert fault(RANKS).message == (
        "texts.txt: a .txt holds one text a line; --kind ranking needs query and passage."
    )
    Path("dev.csv").write_text("text,label\na,good\nb,gud\n")
    assert fault(validation="dev.csv").message == (
        "dev.csv, line 3: label 'gud' never occurs in the teacher's labels. "
        "Did you mean 'good'? Labels there: bad, good."
    )
    Path("two.csv").write_text("one,other\na,b\n")
    assert "which column is the text? Its columns: one, other." in fault(train="two.csv").message
    other = fault(NUMBER, name="sst2", data=".", train=None)
    assert other.exit_code == UNREACHABLE  # no train.tsv here
    Path("train.tsv").write_text("sentence\tlabel\na\t1\n")
    assert fault(NUMBER, name="sst2", data=".", train=None).message == (
        "The teacher 'some/teacher' answers a number a row (regression); task 'sst2' asks for "
        "one class a row (classification)."
    )


# --- holding out


def test_holding_out_depends_on_the_texts_alone():
    rows = [(text,) for text in TEXTS]
    kept, held = hold_out(rows, KINDS["classification"], Path("x"))
    again = hold_out(rows[::-1], KINDS["classification"], Path("y"))
    assert (again[0][::-1], again[1][::-1]) == (kept, held)
    assert [row for row in rows if row in held] == held, "in the file's order"
    more = hold_out([*rows, *rows], KINDS["classification"], Path("x"))
    assert set(more[0]).isdisjoint(more[1]), "a text that repeats is on one side"
    spans = [(f"q{i}", f"context {i // 10}") for i in range(100)]
    kept, held = hold_out(spans, KINDS["span"], Path("x"))
    assert {c for _, c in held}.isdisjoint(c for _, c in kept) and len(held) == 10


# --- agreement


def agree(kind, ours, theirs):
    return agreement(KINDS[kind], ours, TeacherAnswers(theirs))["agreement"]


def test_agreement_by_kind():
    ours = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 9.0]])
    theirs = np.array([[9.0, 8.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert agree("classification", ours, theirs) == 75.0
    # yes where a logit is not below 0: ours {a,b} {b} {}, theirs {a} {b} {a}: tp 2, fp 1, fn 1
    sets = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    gold = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
    assert agree("multilabel", sets, gold) == pytest.approx(100 * 4 / 6)
    assert agree("multilabel", -abs(sets), -abs(gold)) == 100.0, "both never say yes"
    numbers = np.array([[0.0], [1.0], [2.0]])
    assert agree("regression", 3 * numbers + 1, numbers) == pytest.approx(100)
    assert agree("ranking", -numbers, numbers) == pytest.approx(-100)
    assert agree("regression", numbers * 0, numbers * 0) == 100.0, "the same, though constant"
    tags = [np.eye(3)[[0, 1, 2, 0, 0]], np.eye(3)[[1, 0, 1]]]
    other = [np.eye(3)[[1, 1, 1, 0, 1]], np.eye(3)[[0, 0, 2]]]
    # [CLS] and [SEP] aside: 1 2 0 against 1 1 0, and 0 against 0. The commonest tag is 0, so of
    # two tags found and two wanted one is right.
    assert agree("tokens", Ragged(tags, np.float32), Ragged(other, np.float32)) == 50.0
    outside = Ragged([np.eye(3)[[1, 0, 0, 2]]], np.float32)
    assert agree("tokens", outside, outside) == 100.0, "both find nothing"
    empty = Ragged([np.eye(3)[[1, 2]]], np.float32)
    assert agree("tokens", empty, empty) == 100.0, "rows without a token between special ones"
    # cosines 1 and 1/√2, whatever the lengths
    vectors, gold = np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 3.0]])
    assert agree("embedding", vectors, gold) == pytest.approx(100 * (1 + 0.5**0.5) / 2)


def spans(*rows):
    """Scores whose best span is from one token to another, of rows (length, first, last)."""
    made = []
    for length, first, last in rows:
        scores = np.zeros((length, 2))
        scores[first, 0] = scores[last, 1] = 5.0
        made.append(scores)
    return Ragged(made, np.float32)


def test_agreement_of_spans_is_f1_in_tokens():
    ours, theirs = spans((6, 1, 4), (4, 0, 0), (5, 2, 3)), spans((6, 3, 5), (4, 0, 0), (5, 0, 1))
    # 2 of 4 and 3 tokens: F1 4/7; the same; none in common
    assert agree("span", ours, theirs) == pytest.approx(100 * (4 / 7 + 1 + 0) / 3)
    backwards = np.array([[0.0, 9.0], [0.0, 0.0], [9.0, 1.0]])
    # start at 0, end at 0: 9; start at 2, end at 2: 10; a start after its end is no span
    assert agree("span", Ragged([backwards], np.float32), spans((3, 2, 2))) == 100.0


def test_an_output_that_is_not_finite_or_of_another_shape_does_not_agree():
    with pytest.raises(ValueError, match="not finite in 1 of 2 rows"):
        agree("regression", np.array([[np.nan], [1.0]]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="the teacher's have"):
        agree("classification", np.zeros((2, 3)), np.zeros((2, 2)))


@pytest.mark.parametrize("ragged", [False, True])
def test_answers_are_kept_with_the_rows_that_they_are_for(ragged):
    rows = [np.arange(2.0 * n).reshape(n, 2) for n in (1, 3, 2)]
    outputs = Ragged(rows, np.float32) if ragged else np.arange(6.0).reshape(3, 2)
    path = Path("answers.npz")
    save_answers(path, {"validation": TeacherAnswers(outputs)}, {"validation": "f"})
    found = load_answers(path, {"validation": "f"})["validation"]
    first = found.first(2)
    assert (len(found.outputs), len(first.outputs)) == (3, 2)
    for row in range(2):
        assert np.array_equal(first.outputs[row], outputs[row])
    with pytest.raises(CofiError, match="the files have changed since the run"):
        load_answers(path, {"validation": "g"})
    with pytest.raises(CofiError, match="cannot be read") as caught:
        load_answers(Path("absent.npz"), {})
    assert caught.value.exit_code == UNREACHABLE


# --- files without labels where there could be some

SPANS = Taught("some/teacher", KINDS["span"], ())
TAGS = Taught("some/teacher", KINDS["tokens"], ("O", "B-a", "I-a"))
QUESTIONS = {
    "data": [
        {"paragraphs": [{"context": f"it is {i}", "qas": [{"id": str(i), "question": "what?"}]}]}
        for i in range(30)
    ]
}


@pytest.mark.parametrize(
    ("taught", "name", "text"),
    [
        (SPANS, "q.json", json.dumps(QUESTIONS)),
        (SPANS, "q.jsonl", '{"question": "what?", "context": "it"}\n' * 30),
        (TAGS, "w.bio", "EU\nrejects\n\n" * 30),
        (TAGS, "w.jsonl", '{"tokens": ["EU", "rejects"]}\n' * 30),
        (TAGS, "w.txt", "EU rejects\n" * 30),
    ],
)
def test_agreement_where_the_validation_file_has_no_place_for_labels(taught, name, text):
    Path(name).write_text(text, encoding="utf-8")
    task = load(taught, train=name, validation=name)
    assert task.metrics == ("agreement",)
    assert [len(split) for split in task.splits.values()] == [30, 30]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("False", "True"), ("true", "false")),
        (("Neg", "Pos"), ("POS", "neg")),
        (("0", "1"), (1.0, 0.0)),
    ],
)
def test_capitals_do_not_keep_a_label_from_the_teachers(names, labels):
    rows = "".join(json.dumps({"text": "a", "label": label}) + "\n" for label in labels)
    Path("dev.jsonl").write_text(rows, encoding="utf-8")
    task = load(Taught("some/teacher", KINDS["classification"], names), validation="dev.jsonl")
    assert task.splits["validation"].labels == [1, 0]


def test_capitals_can_make_two_labels():
    rows = "".join(json.dumps({"text": "a", "label": n}) + "\n" for n in ("IT", "it", "It"))
    Path("dev.jsonl").write_text(rows, encoding="utf-8")
    taught = Taught("some/teacher", KINDS["classification"], ("IT", "it"))
    told = fault(taught, validation="dev.jsonl").message
    assert "'It' never occurs in the teacher's labels" in told
    Path("dev.jsonl").write_text(rows[: rows.rindex("{")], encoding="utf-8")
    assert load(taught, validation="dev.jsonl").splits["validation"].labels == [0, 1]


def test_questions_keep_their_windows():
    rows = "".join(
        json.dumps({"question": f"Who is {i}?", "context": f"It is {i}."}) + "\n" for i in range(40)
    )
    Path("q.jsonl").write_text(rows, encoding="utf-8")
    task = load(Taught("some/teacher", KINDS["span"], ()), train="q.jsonl", doc_stride=7)
    assert task.encoding == {"doc_stride": 7} and task.metrics == ("agreement",)
