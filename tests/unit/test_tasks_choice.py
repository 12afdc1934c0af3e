"""Multiple choice: own files, rows of several sequences, and the head beside transformers' own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from cofi_cli.architectures import ADAPTERS, load_dense, load_tokenizer, read_answers, save_dense
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS, Taught, collate, load_task
from cofi_cli.training.teacher.augmentation import augmented
from tests.architectures import LABELS, TINY, inputs_of, save
from tests.tiny import save_bert

ROWS = """id,context,choice1,choice0,label
1,the film,is good,is bad,1
2,a plot,was,was dull and poor,0
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(rows: str = ROWS, **options: object) -> object:
    Path("rows.csv").write_text(rows, encoding="utf-8")
    given = {"kind": "choice", "train": "rows.csv", "validation": "rows.csv", "max_length": 16}
    return load_task(TaskConfig(**given | options))


def test_columns_are_taken_by_their_numbers() -> None:
    task = load()
    assert task.splits["train"].texts[0] == ("the film", "is bad", "is good")
    assert (task.labels, task.splits["train"].labels) == (("0", "1"), [1, 0])
    named = load(ROWS.replace("choice", "x"), text=("context", "x1", "x0"))
    assert named.splits["train"].texts[0] == ("the film", "is good", "is bad")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.replace("poor,0", "poor,2"), "rows.csv, line 3: label '2' never occurs in the 2 cho"),
        (ROWS.replace("choice", "c"), "rows.csv: which columns are the context and the choices?"),
        (ROWS.replace("is good", "").replace("is bad", ""), None),
    ],
)
def test_faults(rows: str, message: str | None) -> None:
    if message is None:
        assert load(rows).splits["train"].texts[0] == ("the film", "", "")
        return
    with pytest.raises(CofiError) as caught:
        load(rows)
    assert message in caught.value.message


def test_texts_alone_and_a_teacher(tmp_path: Path) -> None:
    Path("texts.jsonl").write_text(
        "".join(
            json.dumps({"context": f"c{i // 2}", "choice0": "a", "choice1": "b"}) + "\n"
            for i in range(40)
        )
    )
    task = load_task(
        TaskConfig(train="texts.jsonl", unlabelled=True), Taught("t", KINDS["choice"], ("0", "1"))
    )
    kept, held = (task.splits[name].texts for name in ("train", "validation"))
    assert len(held) == 4 and {row[0] for row in held}.isdisjoint(row[0] for row in kept)
    assert task.metrics == ("agreement",)


def test_a_row_is_a_sequence_for_each_choice(tmp_path: Path) -> None:
    task, tokenizer = load(), load_tokenizer(str(save_bert(tmp_path / "m")))
    encoded = task.encode("train", tokenizer)
    batch = collate(encoded, [1, 0], pad_id=0)
    pairs = [("a plot", "was dull and poor"), ("a plot", "was"),
             ("the film", "is bad"), ("the film", "is good")]  # fmt: skip
    theirs = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[name].tolist() == theirs[name].reshape(2, 2, -1).tolist()
    assert batch["labels"].tolist() == [0, 1]
    answers = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert task.score(answers, encoded.reference) == {"accuracy": 50.0}
    more = augmented(
        encoded,
        copies=2,
        vectors=torch.randn(len(tokenizer), 4),
        special=tokenizer.all_special_ids,
        max_length=32,
        keeps_order=KINDS["choice"].keeps_order,
        seed=0,
    )
    assert len(more) == 6 and [*map(len, more.parts)] == [2] * 6
    assert collate(more, [5], pad_id=0)["input_ids"].shape == (1, 2, 9)


@pytest.mark.parametrize("name", TINY)
def test_the_head_is_transformers_own(tmp_path: Path, name: str) -> None:
    own = getattr(transformers, ADAPTERS[TINY[name][0]].heads["choice"].class_name, None)
    if own is None:
        pytest.skip("this version of transformers has no such class")
    folder = str(save(tmp_path / "a", name, "choice"))
    theirs = own.from_pretrained(folder).eval()
    ours = load_dense(folder, num_labels=LABELS["choice"], head="choice").eval()
    inputs = {key: tensor[None] for key, tensor in inputs_of(name).items()}
    labels = torch.tensor([1])
    with torch.no_grad():
        expected, found = theirs(**inputs, labels=labels), ours(**inputs, labels=labels)
    assert torch.allclose(found.logits, expected.logits, atol=2e-5)
    assert torch.allclose(found.loss, expected.loss, atol=2e-5)
    save_dense(ours, tmp_path / "b", source=folder)
    with torch.no_grad():
        again = own.from_pretrained(tmp_path / "b").eval()(**inputs)
    assert torch.allclose(again.logits, expected.logits, atol=1e-6)
    assert Taught.of(read_answers(str(tmp_path / "b"))).kind is KINDS["choice"]
