"""Several labels a row: how files write them, every fault with its text, and the metrics."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS, load_task

METRICS = KINDS["multilabel"].metrics


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(train, validation=None, *, suffix="csv", **options):
    for name, content in (("train", train), ("dev", validation or train)):
        Path(f"{name}.{suffix}").write_text(content, encoding="utf-8")
    return load_task(TaskConfig(train=f"train.{suffix}", validation=f"dev.{suffix}", **options))


def scores(labels, predicted):
    names = [str(i) for i in range(labels.shape[1])]
    return list(KINDS["multilabel"].score(predicted - 0.5, labels, names, METRICS).values())


def fault(*args, **options) -> CofiError:
    with pytest.raises(CofiError) as caught:
        load(*args, **options)
    return caught.value


def jsonl(*rows):
    return "".join(json.dumps({"text": t, "labels": labels}) + "\n" for t, labels in rows)


LISTS = jsonl(("a", ["toxic", "rude"]), ("b", []), ("c", ["rude"]))
CELLS = "text,labels\na,{}\nb,\nc,rude\n"


def test_lists_tell_the_kind():
    task = load(LISTS, suffix="jsonl")
    assert (task.kind.name, task.labels) == ("multilabel", ("rude", "toxic"))
    assert task.splits["train"].labels == [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    assert task.metrics == ("micro_f1", "macro_f1", "subset_accuracy")
    assert task.kind.problem_type == "multi_label_classification"


@pytest.mark.parametrize(
    ("cell", "separator"), [("toxic|rude", None), ("toxic; rude", None), ('"toxic,rude"', ",")]
)
def test_cells_say_the_same_as_lists(cell, separator):
    rows = CELLS.format(cell) + "d,toxic\n"
    task = load(rows, kind="multilabel", separator=separator)
    own = load(LISTS + jsonl(("d", ["toxic"])), suffix="jsonl")
    assert task.splits["train"] == own.splits["train"]
    assert task.fingerprint == own.fingerprint


def test_a_bar_leaves_commas_alone():
    rows = 'text,labels\na,"art, old|war"\nb,war\n'
    assert load(rows, kind="multilabel").labels == ("art, old", "war")
    assert load(rows, kind="multilabel", separator="none").labels == ("art, old|war", "war")


def test_joined_names_tell_the_kind_where_one_stands_alone_too():
    task = load(CELLS.format("toxic|rude"))
    assert (task.kind.name, task.labels) == ("multilabel", ("rude", "toxic"))


def test_without_the_kind_a_cell_is_one_class():
    rows = "text,label\na,x|y\nb,z\n"
    task = load(rows)
    assert (task.kind.name, task.labels) == ("classification", ("x|y", "z"))


def test_a_column_for_each_label():
    rows = "id,text,rude,toxic,score\n1,a,1,0,9\n2,b,0.0,true,9\n3,c,0,0,9\n"
    task = load(rows, label=("toxic", "rude"))
    assert (task.kind.name, task.labels) == ("multilabel", ("toxic", "rude"))
    assert task.splits["train"].texts == [("a",), ("b",), ("c",)]
    assert task.splits["train"].labels == [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]


def test_a_test_file_may_lack_labels():
    Path("test.jsonl").write_text('{"text": "x"}\n')
    task = load(LISTS, suffix="jsonl", test="test.jsonl")
    assert task.splits["test"].labels is None


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (
            "text,a,b\nx,1,0\ny,0,maybe\n",
            {"label": ("a", "b")},
            "train.csv, line 3: label column 'b' is 'maybe'; expected is 0 or 1.",
        ),
        (
            "text,a,b\nx,1,0\n",
            {"label": ("a", "c")},
            "train.csv has no column 'c'. Its columns: text, a, b.",
        ),
        (
            "text,a,b\nx,1,0\n",
            {"label": ("a", "b"), "kind": "regression"},
            "task.label names 2 columns: a, b. A regression takes one; several are for "
            "--kind multilabel.",
        ),
        (
            "text,labels\nx,\ny,\n",
            {"kind": "multilabel"},
            "train.csv has no label in any row (column 'labels').",
        ),
    ],
)
def test_faults_of_tables(train, options, message):
    assert fault(train, **options).message == message


@pytest.mark.parametrize("labels", [None, {}, ["toxic", None], [["toxic"]]])
def test_what_is_no_set_of_names(labels):
    error = fault(LISTS + jsonl(("d", labels)), suffix="jsonl")
    assert error.message == (
        f"train.jsonl, line 4: the label (column 'labels') is {labels!r}; expected are names, in a "
        "list or with a separator between them."
    )


def test_a_label_that_training_lacks():
    error = fault(LISTS, LISTS + jsonl(("d", ["rude", "toxik"])), suffix="jsonl")
    assert error.message == (
        "dev.jsonl, line 4: label 'toxik' never occurs in train.jsonl. Did you mean 'toxic'? "
        "Labels there: rude, toxic."
    )


def test_scores_are_sklearns():
    rng = np.random.default_rng(0)
    labels, predicted = rng.random((40, 5)) < 0.4, rng.random((40, 5)) < 0.4
    labels[:, 3] = predicted[:, 3] = False  # occurs nowhere: not part of the macro mean
    found = scores(labels, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        macro = f1_score(labels, predicted, average="macro", zero_division=np.nan)
    micro, subset = f1_score(labels, predicted, average="micro"), (labels == predicted).all(1)
    assert found == pytest.approx([100 * micro, 100 * macro, 100 * subset.mean()])


def test_a_task_scores_logits_at_one_half():
    task = load(LISTS, suffix="jsonl")
    logits = np.array([[0.1, -0.1], [-3.0, -0.1], [9.0, 0.2]])
    # found: rude, nothing, rude and toxic; wanted: both, nothing, rude: tp 2, fp 1, fn 1
    scores = task.score(logits, np.array(task.splits["train"].labels))
    assert list(scores) == ["micro_f1", "macro_f1", "subset_accuracy"]
    assert scores["micro_f1"] == pytest.approx(100 * 4 / 6)
    assert scores["macro_f1"] == pytest.approx(100 * (1.0 + 0.0) / 2)
    assert scores["subset_accuracy"] == pytest.approx(100 / 3)


def test_nothing_to_find_and_nothing_found_earns_nothing():
    none = np.zeros((3, 2), dtype=bool)
    assert scores(none, none) == [0.0, 0.0, 100.0]


def test_one_column_of_0_and_1_is_one_label():
    task = load("text,toxic\na,0\nb,1\nc,0\n", kind="multilabel", label="toxic")
    assert task.labels == ("toxic",)
    assert task.splits["train"].labels == [[0.0], [1.0], [0.0]]
