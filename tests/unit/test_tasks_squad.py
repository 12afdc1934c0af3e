"""SQuAD's files, the hub's copy of them, and own questions: read right, and faults named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import UNREACHABLE, USAGE, CofiError
from cofi_cli.tasks import load_task
from cofi_cli.tasks.builtin import hub
from cofi_cli.tasks.files.squad_json import read_questions

CONTEXT = "Ada wrote it in London. London it was."
WHOLE: dict[str, Any] = {
    "version": "v2.0",
    "data": [
        {
            "title": "Ada",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Who wrote it?",
                            "is_impossible": False,
                            "answers": [{"text": "Ada", "answer_start": 0}],
                        },
                        {
                            "id": "q2",
                            "question": "Where?",
                            "is_impossible": False,
                            "answers": [
                                {"text": "London", "answer_start": 16},
                                {"text": "in London", "answer_start": 13},
                            ],
                        },
                        {
                            "id": "q3",
                            "question": "When?",
                            "is_impossible": True,
                            "plausible_answers": [{"text": "it was", "answer_start": 31}],
                            "answers": [],
                        },
                    ],
                }
            ],
        }
    ],
}
TEXTS = [("Who wrote it?", CONTEXT), ("Where?", CONTEXT), ("When?", CONTEXT)]
LABELS = [[("Ada", 0)], [("London", 16), ("in London", 13)], []]
Change = Callable[[dict[str, Any]], object]


def write(path: Path, *, answered: bool = False, change: Change | None = None) -> Path:
    """Write the questions as SQuAD does; ``answered`` leaves out the one without an answer."""
    whole = copy.deepcopy(WHOLE)
    if answered:
        del whole["data"][0]["paragraphs"][0]["qas"][2]
    if change is not None:
        change(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def qas(whole: dict[str, Any]) -> list[dict[str, Any]]:
    return whole["data"][0]["paragraphs"][0]["qas"]


def columns() -> dict[str, list[Any]]:
    """The same as the hub has it."""
    return {
        "question": [question for question, _ in TEXTS],
        "context": [context for _, context in TEXTS],
        "answers": [
            {"text": [text for text, _ in own], "answer_start": [start for _, start in own]}
            for own in LABELS
        ],
    }


def test_json_jsonl_and_parquet_are_the_same(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    lines = tmp_path / "q.jsonl"
    rows = [dict(zip(columns(), row, strict=True)) for row in zip(*columns().values(), strict=True)]
    lines.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    table = tmp_path / "q.parquet"
    pq.write_table(pa.table(columns()), table)
    for path in (write(tmp_path / "q.json"), lines, table):
        split = read_questions(path)
        assert (split.texts, split.labels) == (TEXTS, LABELS), path.suffix


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (
            lambda whole: qas(whole)[1].pop("question"),
            ("data[0].paragraphs[0].qas[1].question is missing. Keys there: id, is_im",),
        ),
        (
            lambda whole: qas(whole)[0].pop("answers"),
            ("question 'q1': 'answers' is missing, or null.", '"answers": []'),
        ),
        (
            lambda whole: qas(whole)[0]["answers"][0].pop("answer_start"),
            ("question 'q1', answers: [0].answer_start is missing. Keys there: text.",),
        ),
        (
            lambda whole: qas(whole)[1]["answers"][0].update(answer_start=17),
            (
                "question 'q2': the answer 'London' does not stand at its answer_start 17; "
                "'ondon.' does.",
                "The nearest place where it stands is 16",
            ),
        ),
        (
            lambda whole: qas(whole)[1]["answers"][0].update(text="Paris"),
            ("the answer 'Paris' does not stand", "It stands nowhere in the context."),
        ),
        (
            lambda whole: qas(whole)[0]["answers"][0].update(answer_start=-38),
            ("'Ada' does not stand at its answer_start -38",),
        ),
        (
            lambda whole: qas(whole)[0]["answers"][0].update(answer_start="0"),
            ("[0].answer_start is '0': input should be a valid integer.",),
        ),
        (
            lambda whole: qas(whole)[0]["answers"][0].update(text=""),
            ("question 'q1', answers: [0].text is '': string should have at least 1 character.",),
        ),
        (
            lambda whole: qas(whole)[2].update(is_impossible=False),
            ("question 'q3': is_impossible is false, but there are 0 answers.",),
        ),
        (
            lambda whole: whole["data"][0]["paragraphs"][0].pop("context"),
            ("data[0].paragraphs[0].context is missing. Keys there: qas.",),
        ),
        (
            lambda whole: whole.pop("data"),
            ("q.json: data is missing. Keys there: version.", '"paragraphs"'),
        ),
        (lambda whole: whole["data"].clear(), ("q.json has no questions.",)),
        (
            lambda whole: qas(whole).insert(0, "?"),
            ("qas[0] is '?': input should be a valid dictionary",),
        ),
    ],
)
def test_a_fault_is_named_by_its_place(
    tmp_path: Path, change: Change, texts: tuple[str, ...]
) -> None:
    with pytest.raises(CofiError) as caught:
        read_questions(write(tmp_path / "q.json", change=change))
    said = f"{caught.value.message} {caught.value.hint}"
    assert [text for text in texts if text not in said] == [], said
    assert str(tmp_path / "q.json") in said and caught.value.exit_code == USAGE


def test_a_fault_in_a_table_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    good = {"question": "Who?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}}
    bad = good | {"answers": {"text": ["Ada"], "answer_start": []}}
    path.write_text("\n".join(map(json.dumps, (good, bad))), encoding="utf-8")
    with pytest.raises(CofiError, match=r"q\.jsonl, line 2: 1 answers, but 0 values"):
        read_questions(path)
    path.write_text(json.dumps({"question": "Who?"}), encoding="utf-8")
    with pytest.raises(CofiError, match=r"no column 'context'\. Its columns: question"):
        read_questions(path)
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(CofiError, match=r"q\.json is not valid JSON: .*line 1 column 2"):
        read_questions(path.with_suffix(".json"))


@pytest.mark.parametrize(
    ("name", "files", "metrics"),
    [
        ("squad", ("train-v1.1.json", "dev-v1.1.json"), ("f1", "exact_match")),
        ("squad", ("train_part.json", "dev.json"), ("f1", "exact_match")),
        (
            "squad_v2",
            ("train-v2.0.json", "dev-v2.0.json"),
            ("f1", "exact_match", "best_f1", "best_exact_match"),
        ),
    ],
)
def test_squad_from_a_folder(
    tmp_path: Path, name: str, files: tuple[str, str], metrics: tuple[str, ...]
) -> None:
    for file in files:
        write(tmp_path / file, answered=name == "squad")
    if name == "squad_v2":  # the other version beside it does not matter
        (tmp_path / "train-v1.1.json").write_text("{", encoding="utf-8")
    config = TaskConfig(name=name, data=str(tmp_path), max_length=64, doc_stride=16)
    task = load_task(config)
    assert (task.kind.name, task.metrics, task.num_labels) == ("span", metrics, 2)
    assert len(task.splits["train"]) == (2 if name == "squad" else 3)
    assert task.encoding == {"doc_stride": 16}
    assert "The train split holds" in task.note, "it is a part of SQuAD, and the note says so"
    assert ("threshold 0" in task.note) == (name == "squad_v2")


def test_squad_1_has_an_answer_to_every_question(tmp_path: Path) -> None:
    for file in ("train.json", "dev.json"):
        write(tmp_path / file)
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="squad", data=str(tmp_path)))
    assert caught.value.hint == "For such data: --task squad_v2"


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    write(tmp_path / "train-v1.1.json", answered=True)
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="squad", data=str(tmp_path)))
    error = caught.value
    assert "has no dev-v1.1.json or dev.json for task 'squad'" in error.message
    assert "It holds: train-v1.1.json" in error.message and error.exit_code == UNREACHABLE
    assert "--data DIR with train-v1.1.json and dev-v1.1.json" in str(error.hint)


def test_own_files(tmp_path: Path) -> None:
    """None is an answer once any question has none; only a test file may lack answers."""
    train = write(tmp_path / "asked.json", answered=True)
    dev = write(tmp_path / "dev.json", answered=True)
    test = write(tmp_path / "test.json", change=lambda w: [own.pop("answers") for own in qas(w)])
    files = {"train": str(train), "validation": str(dev), "kind": "span"}
    task = load_task(TaskConfig(**files, test=str(test)))
    assert (task.name, task.metrics) == ("asked", ("f1", "exact_match"))
    assert task.splits["test"].labels is None and task.splits["test"].texts == TEXTS
    write(dev)
    assert load_task(TaskConfig(**files)).metrics[2] == "best_f1"
    with pytest.raises(CofiError, match="--train needs --validation FILE"):
        load_task(TaskConfig(train=str(train), kind="span"))
    with pytest.raises(CofiError, match="--text and --label do not go with --kind span"):
        load_task(TaskConfig(**files, text=("question",)))
    with pytest.raises(CofiError, match="'answers' is missing, or null"):
        load_task(TaskConfig(**files | {"validation": str(test)}))


def test_squad_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(name: str, subset: str | None, *, revision: str | None) -> Any:
        asked.append((name, subset, revision))
        made = datasets.Dataset.from_dict(columns())
        return {"train": made, "validation": made}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = load_task(TaskConfig(name="squad_v2"))
    assert asked == [("rajpurkar/squad_v2", None, None)]
    assert (task.splits["train"].texts, task.splits["train"].labels) == (TEXTS, LABELS)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(hub, "_reachable", lambda dataset: False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="squad"))
    error = caught.value
    assert error.message.startswith("Cannot load task 'squad' from the hub (rajpurkar/squad)")
    assert error.exit_code == UNREACHABLE
    assert "--data DIR with train-v1.1.json and dev-v1.1.json" in str(error.hint)
    assert "train.tsv" not in str(error.hint)
