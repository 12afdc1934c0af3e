"""The user's own files: formats, guesses, labels, and every fault with its text."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.tasks import load_task
from cofi_cli.tasks.files.columns import PAIRS, TEXTS

GOOD = "text,label\nfine,pos\nawful,neg\n"
GOOD_JSONL = '{"text": "fine", "label": "pos"}\n{"text": "awful", "label": "neg"}\n'


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def load(train=GOOD, validation=GOOD, *, kind="csv", **options):
    return load_task(
        TaskConfig(
            train=write(f"train.{kind}", train),
            validation=write(f"dev.{kind}", validation),
            **options,
        )
    )


def fault(train=GOOD, validation=None, *, kind="csv", **options) -> CofiError:
    validation = validation or (GOOD_JSONL if kind == "jsonl" else GOOD)
    with pytest.raises(CofiError) as caught:
        load(train, validation, kind=kind, **options)
    return caught.value


def write_parquet(name, columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), name)
    return name


# --- formats


def test_csv_with_quotes_commas_and_line_breaks():
    rows = 'text,label\n"a ""b"", c\nd",yes\n"x, y",no\n'
    task = load(rows, rows)
    assert task.splits["train"].texts == [('a "b", c\nd',), ("x, y",)]
    assert task.labels == ("no", "yes")
    assert task.splits["train"].labels == [1, 0]
    assert task.metrics == ("accuracy", "macro_f1")


def test_a_parquet_file_beyond_memory_is_refused_unread(monkeypatch):
    file = write_parquet("train.parquet", {"text": ["a"] * 5000, "label": [0, 1] * 2500})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=500_000))
    with pytest.raises(CofiError, match=r"train\.parquet holds 5,000 rows of 2 columns") as caught:
        load_task(TaskConfig(train=file, validation=file))
    assert caught.value.exit_code == UNREACHABLE


def test_tsv_is_read_without_quoting():
    rows = 'label\ttext\nb\t"a\n\na\tx\n'
    assert load(rows, rows, kind="tsv").splits["train"].texts == [('"a',), ("x",)]


def test_jsonl_and_parquet_agree_with_csv():
    records = [json.loads(line) for line in GOOD_JSONL.splitlines()]
    columns = {key: [record[key] for record in records] for key in ("text", "label")}
    parquet = write_parquet("train.parquet", columns)
    tasks = [
        load(),
        load(GOOD_JSONL, GOOD_JSONL + "\n\n", kind="jsonl"),
        load_task(TaskConfig(train=parquet, validation=parquet)),
    ]
    assert tasks[0].fingerprint == tasks[1].fingerprint == tasks[2].fingerprint
    assert {task.labels for task in tasks} == {("neg", "pos")}


def test_a_text_may_be_longer_than_the_csv_modules_limit():
    rows = f"text,label\n{'a b ' * 50_000},yes\nc,no\n"
    assert len(load(rows, rows).splits["train"].texts[0][0]) == 200_000


def test_byte_order_mark():
    assert load("\ufeff" + GOOD).labels == ("neg", "pos")


def test_the_task_is_named_after_the_file(tmp_path):
    assert load().name == tmp_path.name
    write("reviews.csv", GOOD)
    task = load_task(TaskConfig(train="reviews.csv", validation="dev.csv"))
    assert task.name == "reviews"


def test_a_test_file_may_lack_labels():
    load()
    for rows, labels in [("text\nfine\n", None), ("text,label\nfine,\n", None), (GOOD, [1, 0])]:
        write("test.csv", rows)
        config = TaskConfig(train="train.csv", validation="dev.csv", test="test.csv")
        assert load_task(config).splits["test"].labels == labels


# --- columns


@pytest.mark.parametrize("columns", [*PAIRS, *((text,) for text in TEXTS)])
def test_guessed_text_columns(columns):
    header = ",".join(["id", *(column.upper() for column in columns), "label"])
    rows = header + "".join(f"\n{i}" + f",t{i}" * len(columns) + f",{i}" for i in range(2))
    assert load(rows, rows).splits["train"].texts == [
        ("t0",) * len(columns),
        ("t1",) * len(columns),
    ]


def test_named_columns_win():
    rows = "text,label,title,kind\na,0,b,x\nc,1,d,y\n"
    task = load(rows, rows, text=("title", "text"), label="kind")
    assert task.splits["train"].texts[0] == ("b", "a")
    assert task.labels == ("x", "y")


def test_missing_columns():
    error = fault("text,label\na,b\n", text=("sentence",))
    assert error.message == "train.csv has no column 'sentence'. Its columns: text, label."
    assert error.hint == "Name the text column with --text COLUMN (twice for a sentence pair)."
    error = fault(GOOD, label="klass")
    assert error.message == "train.csv has no column 'klass'. Its columns: text, label."
    error = fault(GOOD, "text,lable\na,pos\n")
    assert error.message == "dev.csv has no column 'label'. Its columns: text, lable."
    assert error.hint == "The training file's label column is 'label'."
    error = fault(GOOD, "txt,label\na,pos\n")
    assert error.message == "dev.csv has no column 'text'. Its columns: txt, label."


def test_no_good_guess():
    error = fault("a,b,label\nx,y,1\nz,w,2\n")
    assert error.message == "train.csv: which column is the text? Its columns: a, b, label."
    error = fault("a fine film,1\nan awful film,0\n")  # no header
    assert error.message == "train.csv: which column is the text? Its columns: a fine film, 1."
    error = fault("text,a,b\nx,1,2\nz,2,1\n")
    assert error.message == "train.csv: which column is the label? Its columns: text, a, b."
    assert error.hint == "Name the label column with --label COLUMN."


def test_beside_a_text_the_only_other_column_is_the_label():
    rows = "text,mood\nx,sad\ny,glad\n"
    assert load(rows, rows).labels == ("glad", "sad")


def test_a_column_may_share_its_name_with_a_label_if_it_is_named():
    rows = "review,spam\nbuy now,spam\nhello,ham\n"
    assert load(rows, rows, label="spam").labels == ("ham", "spam")


def test_three_text_columns():
    assert fault(text=("text", "label", "text")).message == (
        "task.text names 3 columns: text, label, text. At most two."
    )


# --- labels


def test_whole_numbers_are_classes_in_the_order_of_numbers():
    rows = "text,label\n" + "".join(f"t,{n}\n" for n in (10, 9, 2))
    task = load(rows, rows)
    assert task.labels == ("2", "9", "10")
    assert task.splits["train"].labels == [2, 1, 0]


def test_one_class_has_one_name_in_every_format():
    write_parquet("train.parquet", {"text": ["a", "b"], "label": [0.0, 1.0]})
    write("dev.csv", "text,label\nb,1\n")
    write("test.jsonl", '{"text": "a", "label": 0}')
    config = TaskConfig(train="train.parquet", validation="dev.csv", test="test.jsonl")
    task = load_task(config)
    assert task.labels == ("0", "1")
    assert (task.splits["validation"].labels, task.splits["test"].labels) == ([1], [0])


def test_booleans():
    rows = '{"text": "a", "label": true}\n{"text": "b", "label": false}'
    assert load(rows, rows, kind="jsonl").labels == ("false", "true")


def test_booleans_have_one_name_in_every_format():
    write("dev.jsonl", '{"text": "a", "label": true}\n{"text": "b", "label": false}')
    config = TaskConfig(train=write("train.csv", "text,label\na,True\nb,False\n"))
    task = load_task(config.model_copy(update={"validation": "dev.jsonl"}))
    assert (task.labels, task.splits["validation"].labels) == (("false", "true"), [1, 0])


def test_fractions_make_a_regression():
    task = load("text,score\na,1\nb,-2.5e0\n", "text,score\na,3\n")
    assert (task.kind.name, task.labels, task.num_labels) == ("regression", (), 1)
    assert task.splits["train"].labels == [1.0, -2.5]
    assert task.metrics == ("pearson", "spearman")


def test_label_never_seen_in_training():
    error = fault(GOOD, "text,label\nok,pos\nhm,postive\n")
    assert error.message == (
        "dev.csv, line 3: label 'postive' never occurs in train.csv. Did you mean 'pos'? "
        "Labels there: neg, pos."
    )


@pytest.mark.parametrize("empty", ["", "  ", "NaN"])
def test_empty_label(empty):
    error = fault(f'text,label\n"two\nlines",pos\nhm,{empty}\n')
    assert error.message == "train.csv, line 4: the label (column 'label') is empty."


def test_empty_label_in_jsonl_and_parquet():
    error = fault('{"text": "a", "label": "x"}\n\n{"text": "b"}', kind="jsonl")
    assert error.message == "train.jsonl, line 3: the label (column 'label') is empty."
    write_parquet("train.parquet", {"text": ["a", "b"], "label": [1.5, float("nan")]})
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(train="train.parquet", validation="train.parquet"))
    assert caught.value.message == "train.parquet, row 2: the label (column 'label') is empty."


def test_number_among_which_one_is_none():
    assert fault("text,label\na,1.5\nb,n/a\n").message == (
        "train.csv, line 3: the label (column 'label') is 'n/a', which is not a finite number."
    )
    assert fault("text,label\na,1.5\n", "text,label\na,high\n").message == (
        "dev.csv, line 2: the label (column 'label') is 'high', which is not a finite number."
    )


def test_only_one_label():
    error = fault("text,label\na,x\nb,x\n")
    assert error.message == "train.csv has only one label, 'x' (column 'label')."


def test_a_text_that_is_nan():
    write_parquet("train.parquet", {"text": [1.0, float("nan")], "label": [0, 1]})
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(train="train.parquet", validation="train.parquet"))
    assert caught.value.message == "train.parquet, row 2: the text (column 'text') is empty."


def test_cells_that_are_no_text_and_no_label():
    error = fault('{"text": null, "label": "x"}\n{"text": "b", "label": "y"}', kind="jsonl")
    assert error.message == "train.jsonl, line 1: the text (column 'text') is empty."
    error = fault('{"text": ["a"], "label": "x"}\n{"text": "b", "label": "y"}', kind="jsonl")
    assert error.message == "train.jsonl, line 1: the text (column 'text') is a list."
    error = fault('{"text": "a", "label": {"x": 1}}', kind="jsonl")
    assert error.message == (
        "train.jsonl, line 1: the label (column 'label') is a dict, but one class or number "
        "is needed."
    )


# --- files


@pytest.mark.parametrize(
    ("kind", "rows"), [("csv", ""), ("csv", "text,label\n"), ("jsonl", "\n"), ("tsv", "a\tb")]
)
def test_empty_split(kind, rows):
    assert fault(rows, kind=kind).message == f"train.{kind} has no rows."


def test_not_utf8():
    error = fault(GOOD, b"text,label\nok,pos\ncaf\xe9,neg\n")
    assert error.message == "dev.csv, line 3: byte 0xe9 is not UTF-8."
    assert error.hint == "Convert it, for example: iconv -f latin1 -t utf-8 dev.csv > utf8.csv"


def test_malformed_lines():
    error = fault('{"text": "a", "label": 1}\n{"text": "b"', kind="jsonl")
    assert error.message.startswith("train.jsonl, line 2 is not valid JSON: ")
    error = fault("[1, 2]", kind="jsonl")
    assert error.message == (
        'train.jsonl, line 1 is not a JSON object such as {"text": "...", "label": "..."}.'
    )
    error = fault("text,label\na,b,c\n")
    assert error.message == "train.csv, line 2: 3 fields, but the header has 2: text, label."
    error = fault("text,text,label\na,b,c\n")
    assert error.message == "train.csv, line 1: the column 'text' is there twice."
    error = fault('text,label\na,b\n"a"b,c\n')
    assert error.message.startswith("train.csv, line 3: not valid CSV: ")
    error = fault('text,label\na,b\n"a,c\nb,c\n')  # the quote is open to the end of the file
    assert error.message.startswith("train.csv, line 3: not valid CSV: ")
    assert error.hint is not None and "quotes needs them doubled" in error.hint
    error = fault(b"PAR1 or not", kind="parquet")
    assert error.message.startswith("train.parquet is not a readable parquet file: ")


def test_half_a_character_becomes_a_question_mark():
    rows = '{"text": "cut \\ud83d", "label": "x"}\n{"text": "\\ud83d\\ude00", "label": "y"}'
    assert load(rows, rows, kind="jsonl").splits["train"].texts == [("cut ?",), ("\U0001f600",)]


def test_unsupported_extension():
    assert fault(kind="xlsx").message == (
        "train.xlsx: cannot read files of type '.xlsx'. Choices: .csv, .tsv, .jsonl, .parquet."
    )


@pytest.mark.parametrize("name", ["no.csv", "no.parquet"])
def test_missing_file(name):
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(train=name, validation="dev.csv"))
    assert caught.value.message == f"No such file: {name}."
    assert caught.value.exit_code == 6


def test_files_that_are_not_given():
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(train="train.csv"))
    assert caught.value.message == "--train needs --validation FILE as well."
    assert caught.value.hint == "For example: --train train.csv --validation dev.csv"
    with pytest.raises(CofiError, match="No task given"):
        load_task(TaskConfig())
    with pytest.raises(CofiError, match="--data DIR is for built-in tasks"):
        load_task(TaskConfig(train="train.csv", validation="dev.csv", data="x"))


# --- what real files hold


def test_bytes_of_parquet_are_text():
    columns = {"text": [b"fine", b"awful"], "label": [b"pos", b"neg"]}
    parquet = write_parquet("train.parquet", columns)
    task = load_task(TaskConfig(train=parquet, validation=parquet))
    assert task.splits["train"].texts == [("fine",), ("awful",)]
    assert task.labels == ("neg", "pos")
    parquet = write_parquet("train.parquet", columns | {"text": [b"fine", b"\xff"]})
    with pytest.raises(CofiError, match="row 2: column 'text' holds bytes that are not UTF-8"):
        load_task(TaskConfig(train=parquet, validation=parquet))


def test_two_columns_of_one_name_in_parquet():
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table([pa.array(["a"])] * 2, names=["text", "text"]), "two.parquet")
    with pytest.raises(CofiError, match=r"two.parquet: the column 'text' is there twice"):
        load_task(TaskConfig(train="two.parquet", validation="two.parquet"))


def test_a_column_without_a_name_is_no_label():
    rows = ",text,answer\n0,fine,pos\n1,awful,neg\n"
    assert load(rows, rows).labels == ("neg", "pos")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_text_is_told_in_every_format(kind, blank):
    cells = [("fine", "pos"), (blank, "neg"), ("bad", "neg")]
    mark = "," if kind == "csv" else "\t"
    rows = (
        "".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in cells)
        if kind == "jsonl"
        else "\n".join([f"text{mark}label", *(f"{t}{mark}{k}" for t, k in cells), ""])
    )
    line = 2 if kind == "jsonl" else 3
    with pytest.raises(CofiError, match=f"line {line}: the text .column 'text'. is empty"):
        load(rows, rows, kind=kind)


def test_one_text_of_a_pair_may_be_empty():
    rows = "text1,text2,label\na,,x\n,b,y\n"
    assert load(rows, rows).splits["train"].texts == [("a", ""), ("", "b")]


def test_one_number_is_one_class():
    rows = "text,label\n" + "".join(f"a,{n}\n" for n in ("1", "1.", "+1", "-0.0", "0", "007"))
    assert load(rows, rows).labels == ("0", "1", "007")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding):
    mark = b"\xff\xfe" if encoding.endswith("le") else b"\xfe\xff"
    found = fault(mark + GOOD.encode(encoding))
    assert "is UTF-16" in found.message and "iconv -f utf-16" in found.hint


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_line_ends_of_old(kind):
    rows = {"csv": GOOD, "tsv": GOOD.replace(",", "\t"), "jsonl": GOOD_JSONL}[kind]
    old = rows.strip().replace("\n", "\r")
    assert load(old, old, kind=kind).labels == ("neg", "pos")


def test_a_number_that_training_cannot_hold():
    rows = "text,label\na,1e39\nb,0.5\n"
    assert "is '1e39', which is not a finite number" in fault(rows).message


def test_columns_that_a_built_in_task_would_ignore(tmp_path):
    with pytest.raises(CofiError, match="--text and --label would be ignored: task sst2"):
        load_task(TaskConfig(name="sst2", data=str(tmp_path), text=("a",), label="b"))
