"""GLUE from folders: every spelling of the files, and every fault with its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import load_task, task_names
from cofi_cli.tasks.builtin.glue import GLUE
from cofi_cli.tasks.builtin.squad import SQUAD
from cofi_cli.tasks.metrics.basic import METRICS

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def load(folder, name, **files):
    for stem, text in files.items():
        (folder / f"{stem}.tsv").write_text(text, encoding="utf-8")
    return load_task(TaskConfig(name=name, data=str(folder)))


def fault(folder, name, **files) -> CofiError:
    with pytest.raises(CofiError) as caught:
        load(folder, name, **files)
    return caught.value


def test_names():
    assert {*GLUE, *SQUAD, "demo"} <= set(task_names())
    assert " ".join(GLUE) == "cola sst2 mrpc stsb qqp mnli qnli rte wnli"
    assert {metric for spec in GLUE.values() for metric in spec.metrics} <= set(METRICS)


# name, header, a row, texts, label's value
OFFICIAL = [
    ("sst2", "sentence\tlabel", "so good \t1", ("so good ",), 1),
    (
        "mrpc",
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '1\t702876\t702977\ta "b\tc',
        ('a "b', "c"),
        1,
    ),
    (
        "stsb",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tmain\tMS\t2012\t0001\tnone\tnone\ta\tb\t3.800",
        ("a", "b"),
        3.8,
    ),
    (
        "qqp",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "1\t2\t3\ta?\tb?\t0",
        ("a?", "b?"),
        0,
    ),
    ("qnli", "index\tquestion\tsentence\tlabel", "0\tq\ts\tnot_entailment", ("q", "s"), 1),
    ("rte", "index\tsentence1\tsentence2\tlabel", "0\ta\tb\tentailment", ("a", "b"), 0),
    ("wnli", "index\tsentence1\tsentence2\tlabel", "0\ta\tb\t1", ("a", "b"), 1),
]


@pytest.mark.parametrize(("name", "header", "row", "texts", "label"), OFFICIAL)
def test_official_headers(tmp_path, name, header, row, texts, label):
    task = load(tmp_path, name, train=f"{header}\r\n{row}\r\n", dev=f"{header}\n{row}")
    assert task.splits["train"].texts == task.splits["validation"].texts == [texts]
    assert task.splits["train"].labels == [label]
    assert task.kind.name == ("regression" if name == "stsb" else "classification")


def test_cola_without_a_header_as_published(tmp_path):
    rows = "gj04\t1\t\tOur friends won't buy it.\ngj04\t0\t*\tThey drank the pub.\n"
    task = load(tmp_path, "cola", train=rows, dev=rows, test="index\tsentence\n0\tHi there.\n")
    assert task.splits["train"].texts[1] == ("They drank the pub.",)
    assert task.splits["train"].labels == [1, 0]
    assert task.splits["test"].labels is None
    assert task.metrics == ("matthews",)


def test_mnli_has_two_validation_splits_and_takes_gold_label(tmp_path):
    header = "index\tsentence1\tsentence2\tlabel1\tgold_label\n"
    row = "0\ta\tb\tneutral\tcontradiction\n"
    task = load(
        tmp_path, "mnli", train=header + row, dev_matched=header + row, dev_mismatched=header + row
    )
    assert sorted(task.splits) == ["train", "validation", "validation_mismatched"]
    assert task.splits["validation"].labels == [2]


def test_a_labelled_test_split_keeps_its_labels(tmp_path):
    rows = "sentence\tlabel\na\t0\n"
    assert load(tmp_path, "sst2", train=rows, dev=rows, test=rows).splits["test"].labels == [0]


def test_quotes_and_odd_separators_are_text(tmp_path):
    rows = 'sentence\tlabel\n"a, b\t0\nnext\u2028line\x85\t1\n'
    task = load(tmp_path, "sst2", train=rows, dev=rows)
    assert task.splits["train"].texts == [('"a, b',), ("next\u2028line\x85",)]


def test_a_few_short_lines_are_left_out_and_told(tmp_path, caplog):
    rows = "question1\tquestion2\tis_duplicate\n" + "a\tb\t1\n" * 200 + "broken\n"
    task = load(tmp_path, "qqp", train=rows, dev=rows)
    assert len(task.splits["train"]) == 200
    assert "train.tsv: left out 1 lines with too few fields" in caplog.text


def test_many_short_lines_are_a_fault(tmp_path):
    error = fault(tmp_path, "sst2", train="sentence\tlabel\na\nb\t1\n")
    assert error.message == (
        f"{tmp_path}/train.tsv, line 2: too few fields, and so in 1 of 2 lines. "
        "The header has 2: sentence, label."
    )


def test_missing_folder_and_file(tmp_path):
    error = fault(tmp_path / "no", "sst2")
    assert error.message == f"No such folder: {tmp_path}/no."
    assert error.exit_code == 6
    error = fault(tmp_path, "qnli", dev="question\tsentence\tlabel\na\tb\t0\n")
    assert error.message == f"{tmp_path} has no train.tsv for task 'qnli'. It holds: dev.tsv."
    assert error.hint == (
        "--data DIR needs train.tsv and dev.tsv with a header line: question, sentence, label."
    )
    assert error.exit_code == 6


def test_missing_column(tmp_path):
    error = fault(tmp_path, "mrpc", train="label\tsentence1\n1\ta\n")
    assert error.message == (
        f"{tmp_path}/train.tsv has no column 'sentence2' or '#2 String'. "
        "Its columns: label, sentence1."
    )


@pytest.mark.parametrize("text", ["", "sentence\tlabel\n"])
def test_empty_split(tmp_path, text):
    assert fault(tmp_path, "sst2", train=text).message == f"{tmp_path}/train.tsv has no rows."


@pytest.mark.parametrize("label", ["2", "-1", "good", ""])
def test_label_that_the_task_does_not_have(tmp_path, label):
    assert fault(tmp_path, "sst2", train=f"sentence\tlabel\na\t0\nb\t{label}\n").message == (
        f"{tmp_path}/train.tsv, line 3: label '{label}' is not among the task's: "
        "0 or negative, 1 or positive."
    )


@pytest.mark.parametrize("score", ["high", "nan", "inf", ""])
def test_score_that_is_no_number(tmp_path, score):
    error = fault(tmp_path, "stsb", train=f"sentence1\tsentence2\tscore\na\tb\t{score}\n")
    assert error.message == f"{tmp_path}/train.tsv, line 2: label '{score}' is not a number."


def test_not_utf8(tmp_path):
    (tmp_path / "train.tsv").write_bytes(b"sentence\tlabel\nok\t0\ncaf\xe9\t1\n")
    error = fault(tmp_path, "sst2")
    assert error.message == f"{tmp_path}/train.tsv, line 3: byte 0xe9 is not UTF-8."
    assert "iconv" in str(error.hint)


def test_unknown_task():
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="sst3"))
    assert caught.value.message == (
        f"Unknown task 'sst3'. Did you mean 'sst2'? Choices: {', '.join(sorted(task_names()))}."
    )


def test_options_that_exclude_each_other():
    with pytest.raises(CofiError, match=r"--task sst2 and --train, .* exclude each other"):
        load_task(TaskConfig(name="sst2", train="a.csv"))
    with pytest.raises(CofiError, match="'demo' takes no --data"):
        load_task(TaskConfig(name="demo", data="x"))


# rows as the data's own notes count them
PUBLISHED = {
    "sst2": (67349, 872),
    "cola": (8551, 1043),
    "mrpc": (3668, 408),
    "rte": (2490, 277),
    "stsb": (5749, 1500),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_files(name):
    if not (DATA / name / "train.tsv").is_file():
        pytest.skip("the public GLUE files are not beside this checkout")
    task = load_task(TaskConfig(name=name, data=str(DATA / name)))
    assert (len(task.splits["train"]), len(task.splits["validation"])) == PUBLISHED[name]


@pytest.mark.parametrize(("name", "header", "row"), [("sst2", "sentence", "a"), ("stsb", "", "")])
def test_hidden_test_labels_of_the_hub_are_no_labels(tmp_path, name, header, row):
    header, row = header or "sentence1\tsentence2", row or "a\tb"
    label = "label" if name == "sst2" else "score"
    known = f"{header}\t{label}\n{row}\t0\n{row}\t1\n"
    hidden = f"{header}\t{label}\n{row}\t-1\n{row}\t-1.0\n"
    task = load(tmp_path, name, train=known, dev=known, test=hidden)
    assert task.splits["test"].labels is None and len(task.splits["test"]) == 2
    if name == "sst2":
        error = fault(tmp_path, name, train=known, dev=known, test=hidden + f"{row}\t1\n")
        assert "label '-1' is not among the task's" in error.message
