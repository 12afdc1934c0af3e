"""Tagged words from files, folders and the hub; every fault names its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import load_task

TRAIN = "Ada\tB-person\nLovelace\tI-person\nwrote\tO\n\nParis\tB-place\n"
DEV = "Paris\tB-place\n\nAda\tB-person\n"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def load(train=TRAIN, validation=DEV, *, suffix="conll", **options):
    files = {
        "train": write(f"a.{suffix}", train),
        "validation": write(f"dev.{suffix}", validation),
    }
    return load_task(TaskConfig(**files, **options))


def fault(train=TRAIN, validation=DEV, **options) -> CofiError:
    with pytest.raises(CofiError) as caught:
        load(train, validation, **options)
    return caught.value


def tagging(split, task):
    """Return (words, tags by name) of each row."""
    return [
        (" ".join(words), " ".join(task.labels[tag] for tag in tags))
        for words, tags in zip(split.texts, split.labels, strict=True)
    ]


EXPECTED = [("Ada Lovelace wrote", "B-person I-person O"), ("Paris", "B-place")]


def test_a_column_file_becomes_a_task():
    task = load()
    assert (task.name, task.kind.name, task.headline) == ("a", "tokens", "entity_f1")
    assert task.labels == ("O", "B-person", "I-person", "B-place", "I-place")
    assert task.num_labels == 5
    assert tagging(task.splits["train"], task) == EXPECTED
    assert task.splits["validation"].labels == [[3], [1]]


@pytest.mark.parametrize(
    "text",
    [
        TRAIN.replace("\t", " "),
        TRAIN.replace("\t", "   "),
        TRAIN.replace("\n", "\r\n"),
        TRAIN.removesuffix("\n"),
        "\ufeff" + TRAIN + "\n\n",
        TRAIN.replace("\n\n", "\n \t\n\n\n"),
        "-DOCSTART- -X- -X- O\n\n" + TRAIN.replace("\t", " NN B-NP "),
        TRAIN.replace("\n\n", "\n-DOCSTART-\tO\n"),
    ],
)
@pytest.mark.parametrize("suffix", ["conll", "BIO", "iob", "iob2"])
def test_the_ways_that_such_files_are_written(text, suffix):
    task = load(text, suffix=suffix)
    assert tagging(task.splits["train"], task) == EXPECTED


def test_columns_by_number():
    text = "1\tB-person\tAda\tNN\n2\tO\twrote\tVB\n"
    for label in ("2", "-3"):
        task = load(text, text, text=("3",), label=label)
        assert tagging(task.splits["train"], task) == [("Ada wrote", "B-person O")]


def test_other_extensions_need_the_kind():
    for suffix in ("txt", "tsv"):
        task = load(suffix=suffix, kind="tokens")
        assert tagging(task.splits["train"], task) == EXPECTED


def test_with_tabs_a_word_may_hold_a_space_and_odd_characters():
    text = "New York\tB-place\n\u00a0\tO\n\u200b\tO\n"
    assert load(text, text).splits["train"].texts == [("New York", "\u00a0", "\u200b")]
    text = "a\u00a0b B-place\n"
    assert load(text, text).splits["train"].texts == [("a\u00a0b",)]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", "I-x I-x O I-x B-x I-x"),
        ("IOB2", "B-x I-x O B-x B-x I-x"),
        ("BIOES", "B-x E-x O S-x B-x E-x"),
    ],
)
def test_schemes_are_kept_as_iob2(scheme, tags):
    text = "".join(f"w {tag}\n" for tag in tags.split())
    task = load(text, text)
    assert task.labels == ("O", "B-x", "I-x")
    assert task.splits["train"].labels == [[1, 2, 0, 1, 1, 2]]


def test_the_inside_of_a_known_type_needs_no_example():
    task = load("a B-x\n", "a B-x\nb I-x\n")
    assert task.splits["validation"].labels == [[1, 2]]


def test_a_test_file_may_lack_tags():
    task = load(test=write("test.conll", "Ada\nwrote\n\nParis\n"))
    assert task.splits["test"].texts == [("Ada", "wrote"), ("Paris",)]
    assert task.splits["test"].labels is None


def rows(*pairs, words="tokens", tags="ner_tags"):
    return "".join(json.dumps({words: w.split(), tags: t.split()}) + "\n" for w, t in pairs)


@pytest.mark.parametrize("names", [{}, {"words": "words", "tags": "tags"}])
def test_jsonl_and_parquet_with_lists(names):
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = rows(*EXPECTED, **names)
    task = load(text, text, suffix="jsonl", kind="tokens")
    assert tagging(task.splits["train"], task) == EXPECTED
    records = [json.loads(line) for line in text.splitlines()]
    pq.write_table(pa.Table.from_pylist(records), "a.parquet")
    files = {"train": "a.parquet", "validation": "a.parquet"}
    task = load_task(TaskConfig(**files, kind="tokens"))
    assert tagging(task.splits["train"], task) == EXPECTED


def test_jsonl_with_columns_of_other_names():
    text = rows(*EXPECTED, words="w", tags="t")
    task = load(text, text, suffix="jsonl", kind="tokens", text=("w",), label="t")
    assert tagging(task.splits["validation"], task) == EXPECTED


# --- faults

LAYOUT = "no header"


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            {"train": "Ada\tB-x\nwrote\n"},
            "a.conll, line 2: 1 column, but line 1 has 2.",
            LAYOUT,
        ),
        (
            {"train": "a b c\n\nd e\n"},
            "a.conll, line 3: 2 columns, but line 1 has 3.",
            LAYOUT,
        ),
        ({"train": "\tB-x\n"}, "a.conll, line 1: the word is empty.", LAYOUT),
        ({"train": "Ada\nwrote\n"}, "a.conll, line 1: no column of tags", LAYOUT),
        ({"validation": "\n\n"}, "dev.conll has no rows.", LAYOUT),
        (
            {"train": "token\ttag\nAda\tB-x\n"},
            "a.conll, line 1: 'tag' is not a tag: O, B-TYPE, I-TYPE, E-TYPE, S-TYPE.",
            "--label N",
        ),
        (
            {"validation": "Paris O\n\nAda B-persn\n"},
            "dev.conll, line 3: a.conll has no entity of type 'persn' (tag 'B-persn'). "
            "Did you mean 'person'? Types there: person, place.",
            "add sentences with it to the training file",
        ),
        (
            {"train": "a O\n", "validation": "a O\n"},
            "a.conll has no entity: every tag is O.",
            "--label 2",
        ),
        (
            {"label": "ner"},
            "task.label is 'ner'; a.conll has no column names, and line 1 has 2 columns.",
            "--label 1 to --label 2, or -1",
        ),
        ({"text": ("3",)}, "task.text is '3'; a.conll has no column names", "--text 1 to"),
        ({"text": ("0",)}, "task.text is '0'; a.conll has no column names", "--text 1 to"),
        ({"text": ("1", "2")}, "task.text names 2 columns; tagged words are in one.", ""),
        ({"data": "x"}, "--data DIR is for built-in tasks", "--train train.csv"),
        (
            {"suffix": "csv", "kind": "tokens"},
            "a.csv: tagged words are not read from csv.",
            "jsonl",
        ),
    ],
)
def test_faults_of_column_files(options, message, hint):
    error = fault(**options)
    assert message in error.message
    assert hint in str(error.hint)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "line 2: 2 words (column 'tokens') and 1 tags"),
        ({"tokens": "a b", "tags": ["O"]}, "line 2: column 'tokens' is a str, and a list"),
        ({"tokens": [], "tags": []}, "line 2: column 'tokens' is empty"),
        ({"tokens": ["a"]}, "line 2: column 'tags' is empty"),
        ({"tokens": ["a"], "tags": [3]}, "line 2: column 'tags' holds 3, which is not a string"),
        ({"tokens": [""], "tags": ["O"]}, "line 2: column 'tokens' holds '', which is not a word"),
        ({"tokens": ["a"], "tags": ["B"]}, "line 2: 'B' is not a tag"),
    ],
)
def test_faults_of_files_with_lists(record, message):
    text = json.dumps({"tokens": ["a"], "tags": ["B-x"]}) + "\n" + json.dumps(record) + "\n"
    error = fault(text, text, suffix="jsonl", kind="tokens")
    assert f"a.jsonl, {message}" in error.message


def test_lists_without_the_kind_are_pointed_to_it():
    error = fault(rows(*EXPECTED), rows(*EXPECTED), suffix="jsonl")
    assert "--kind tokens" in str(error.hint)


def test_a_missing_column_and_a_missing_file():
    error = fault(rows(*EXPECTED, tags="x"), rows(*EXPECTED), suffix="jsonl", kind="tokens")
    assert "a.jsonl has no column 'ner_tags'. Its columns: tokens, x." in error.message
    assert "--label COLUMN" in str(error.hint)
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(train=write("a.bio", TRAIN), validation="no.bio"))
    assert (caught.value.exit_code, caught.value.message) == (6, "No such file: no.bio.")
    with pytest.raises(CofiError, match="--train needs --validation FILE"):
        load_task(TaskConfig(train="a.bio"))


# --- built-in tasks


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.conll", "dev.conll", None),
        ("train.tsv", "dev.tsv", "test.tsv"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
    ],
)
def test_a_folder_under_the_usual_names(train, dev, test):
    for name in filter(None, (train, dev, test)):
        write(f"data/{name}", "Ada\tI-PER\nwrote\tO\n")
    task = load_task(TaskConfig(name="conll2003", data="data"))
    assert set(task.splits) == {"train", "validation", *(["test"] if test else [])}
    hubs = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC B-MISC I-MISC"
    assert " ".join(task.labels) == hubs, "whatever the file has"
    assert task.splits["train"].labels == [[1, 0]], "the first word's tag is IOB1"


def test_faults_of_a_folder():
    write("data/train.txt", "Ada\tB-PRS\n")
    config = TaskConfig(name="conll2003", data="data")
    with pytest.raises(CofiError) as caught:
        load_task(config)
    assert caught.value.exit_code == 6
    assert (
        caught.value.message
        == "data has no valid or valid.txt for task 'conll2003'. It holds: train.txt."
    )
    assert "train and dev" in str(caught.value.hint)
    write("data/dev.txt", "Ada\tB-PER\n")
    with pytest.raises(CofiError) as caught:
        load_task(config)
    assert "data/train.txt, line 1: the task 'conll2003' has no entity of type 'PRS'" in str(
        caught.value.message
    )
    with pytest.raises(CofiError, match="No such folder: nowhere"):
        load_task(TaskConfig(name="wnut17", data="nowhere"))


def test_the_hubs_splits_become_ours(monkeypatch):
    import datasets

    names = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    label = datasets.ClassLabel(names=names)
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(label),
        }
    )
    columns = {"tokens": [["Ada", "wrote"], []], "ner_tags": [[1, 0], []]}
    made = datasets.Dataset.from_dict(columns, features=features)
    asked = {}

    def load_dataset(dataset, subset, *, revision):
        asked.update(dataset=dataset, subset=subset, revision=revision)
        return {"train": made, "validation": made}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = load_task(TaskConfig(name="conll2003"))
    assert asked == {
        "dataset": "eriktks/conll2003",
        "subset": None,
        "revision": "refs/convert/parquet",
    }
    assert task.labels == tuple(names)
    assert tagging(task.splits["train"], task) == [("Ada wrote", "B-PER O")]


def test_the_hub_out_of_reach(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="wnut17"))
    assert caught.value.exit_code == 6
    assert "Cannot load task 'wnut17' from the hub (leondz/wnut_17)" in caught.value.message
    assert "--data DIR needs train and dev" in str(caught.value.hint)
