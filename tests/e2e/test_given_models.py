"""Models that are given: teachers that do not fit, and compact models for another task."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForSequenceClassification, pipeline

from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir, read_json
from cofi_cli.training import dry_run, finetune, prune
from cofi_cli.training.stages.progress import Silent
from tests.tiny import BAD, FILLER, GOOD, bert_config, save_bert, save_tagged
from tests.tiny_kinds import kind_config

SHORT = {
    "prune": {"epochs": 2, "dense_epochs": 0.5, "ramp_epochs": 0.5},
    "recover": {"epochs": 1},
}


def write(path: Path, names: tuple[str, ...], rows: int = 48) -> Path:
    """Write a CSV: good words have the last label, bad ones the first."""
    rng = random.Random(0)
    words = {names[0]: BAD, names[-1]: GOOD}
    labels = [names[i % len(names)] for i in range(rows)]
    lines = [f"{' '.join(rng.choices(words.get(n, FILLER), k=4))},{n}" for n in labels]
    path.write_text("\n".join(["text,label", *lines, ""]), encoding="utf-8")
    return path


def config(model: Path, data: Path, **changes: Any) -> RunConfig:
    """Return a short configuration on a file of one's own."""
    return kind_config(model, {"train": str(data), "validation": str(data)}, **(SHORT | changes))


def head(folder: Path, names: tuple[str, ...] = (), **changes: Any) -> Path:
    """Write a random classifier without a tokenizer."""
    torch.manual_seed(0)
    own = bert_config(num_labels=len(names) or 2, **changes)
    if names:
        own.id2label = dict(enumerate(names))
        own.label2id = {name: i for i, name in enumerate(names)}
    BertForSequenceClassification(own).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "reviews.csv", ("awful", "great"))


@pytest.fixture(scope="module")
def run(bert_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = RunDir(tmp_path_factory.mktemp("run") / "run")
    prune(config(bert_folder, data), made)
    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vocab_size": 20}, "vocabulary size 20 against the model's 40"),
        ({"hidden_size": 32}, "hidden width 32 against the model's 16"),
        ({"names": ("good", "bad")}, "Label 'awful' of task 'reviews' is not among those"),
        ({"names": ("a", "b", "c")}, "has no sequence head with 2 outputs"),
    ],
)
def test_a_teacher_that_does_not_fit(
    bert_folder: Path, data: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    own = config(bert_folder, data, teacher={"path": str(head(tmp_path / "t", **changes))})
    for refused in (lambda: dry_run(own), lambda: prune(own, RunDir(tmp_path / "run"))):
        with pytest.raises(CofiError) as caught:
            refused()
        assert told in caught.value.message
    assert not (tmp_path / "run").exists(), "nothing was written"


@pytest.mark.parametrize("names", [(), ("LABEL_0", "LABEL_1"), ("Great", "AWFUL"), ("0", "1")])
def test_names_that_agree_or_say_nothing(
    bert_folder: Path, data: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    teacher = str(head(tmp_path / "t", names))
    assert dry_run(config(bert_folder, data, teacher={"path": teacher}))["kind"] == "classification"


def test_layers_are_not_learned_from_another_width_but_predictions_are(
    bert_folder: Path, data: Path, tmp_path: Path
) -> None:
    teacher = {"path": str(head(tmp_path / "t", hidden_size=32))}
    own = config(bert_folder, data, teacher=teacher, distill={"matching": "none"})
    assert prune(own, RunDir(tmp_path / "run")).sparsity.realised > 0.5


def test_a_teacher_with_another_tokenizer(bert_folder: Path, data: Path, tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t")
    vocabulary = (teacher / "vocab.txt") if (teacher / "vocab.txt").exists() else None
    tokenizer = teacher / "tokenizer.json"
    if vocabulary is not None:
        lines = vocabulary.read_text().splitlines()
        lines[-2:] = lines[:-3:-1]
        vocabulary.write_text("\n".join(lines) + "\n")
    if tokenizer.exists():
        made = json.loads(tokenizer.read_text())
        ids = made["model"]["vocab"]
        one, other = list(ids)[-2:]
        ids[one], ids[other] = ids[other], ids[one]
        tokenizer.write_text(json.dumps(made))
    with pytest.raises(CofiError, match="its tokenizer gives tokens other ids"):
        dry_run(config(bert_folder, data, teacher={"path": str(teacher)}))


def test_a_compact_model_teaches_no_pruning(bert_folder: Path, data: Path, run: RunDir) -> None:
    own = config(bert_folder, data, teacher={"path": str(run.model)})
    with pytest.raises(CofiError, match="is a compact model; pruning needs a dense one") as caught:
        dry_run(own)
    assert "RUN/teacher" in str(caught.value.hint)


@pytest.mark.parametrize("names", [("ham", "spam"), ("x", "y", "z")])
def test_a_compact_model_learns_other_labels(
    run: RunDir, tmp_path: Path, names: tuple[str, ...]
) -> None:
    made = RunDir(tmp_path / "run")
    finetune(config(run.model, write(tmp_path / "own.csv", names)), made)
    saved = read_json(made.model / "config.json")
    assert saved["id2label"] == {str(i): name for i, name in enumerate(names)}
    classify = pipeline("text-classification", model=str(made.model), top_k=None)
    assert {row["label"] for row in classify(["good film"])[0]} == set(names)


def test_a_compact_model_learns_several_labels_a_row(run: RunDir, tmp_path: Path) -> None:
    rows = [json.dumps({"text": "good", "labels": ["x", "y"][: i % 3]}) for i in range(24)]
    (tmp_path / "own.jsonl").write_text("\n".join(rows), encoding="utf-8")
    made = RunDir(tmp_path / "run")
    finetune(config(run.model, tmp_path / "own.jsonl"), made)
    saved = read_json(made.model / "config.json")
    assert saved["problem_type"] == "multi_label_classification"
    assert saved["id2label"] == {"0": "x", "1": "y"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recover": {"epochs": 0}}, "recover.epochs is 0"),
        ({"teacher": {"path": "/no/such/teacher"}}, "would not use the teacher"),
    ],
)
def test_fine_tuning_that_would_do_nothing_or_not_as_asked(
    run: RunDir, bert_folder: Path, data: Path, tmp_path: Path, changes: Any, told: str
) -> None:
    model = bert_folder if "teacher" in changes else run.model
    with pytest.raises(CofiError, match=told):
        finetune(config(model, data, **changes), RunDir(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_no_resuming_over_other_rows(bert_folder: Path, tmp_path: Path) -> None:
    class Stop(Silent):
        steps = 0

        def step(self, row: Any) -> None:
            self.steps += 1
            if self.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

    data, made = write(tmp_path / "own.csv", ("a", "b")), RunDir(tmp_path / "run")
    own = config(bert_folder, data)
    with pytest.raises(CofiError, match="Interrupted"):
        finetune(own, made, progress=Stop())
    before, env = data.read_text(), made.env.read_bytes()
    write(data, ("a", "b"), rows=40)
    with pytest.raises(CofiError, match=r"The data of task 'own' changed.*train, validation"):
        finetune(own, made, resume=True)
    assert made.env.read_bytes() == env
    data.write_text(before)
    assert finetune(own, made, resume=True).model.score >= 0


def test_words_longer_than_a_window(bert_folder: Path, tmp_path: Path) -> None:
    """Windows without any label fill a batch: no NaN."""
    data = save_tagged(tmp_path, rows=15)
    long = "\n\nfilm\tO\n" + "-".join(["good"] * 60) + "\tO\n"
    for name in ("train", "dev"):
        file = data / f"{name}.conll"
        file.write_text(file.read_text().rstrip("\n") + long, encoding="utf-8")
    task = {"train": str(data / "train.conll"), "validation": str(data / "dev.conll")}
    own = kind_config(
        bert_folder, task | {"max_length": 12}, teacher={"epochs": 1, "batch_size": 2}
    )
    assert finetune(own, RunDir(tmp_path / "run")).model.score >= 0


def test_a_length_beyond_the_positions_where_the_tokenizer_says_nothing(
    data: Path, tmp_path: Path
) -> None:
    model = save_bert(tmp_path / "m")
    file = model / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings.pop("model_max_length", None)
    file.write_text(json.dumps(settings))
    task = {"train": str(data), "validation": str(data), "max_length": 64}
    with pytest.raises(CofiError, match="this model takes at most 48 tokens"):
        dry_run(kind_config(model, task))


@pytest.mark.parametrize(
    ("changes", "distill", "told"),
    [
        ({"hidden_size": 8}, {}, "hidden width 8 against the 16 that the model was pruned from"),
        ({"hidden_size": 32}, {}, "hidden width 32 against the 16 that the model was pruned from"),
        ({"num_hidden_layers": 5}, {"matching": "fixed"}, "5 layers against the model's 3"),
        ({"max_position_embeddings": 6}, {}, "takes 6 tokens a row; task.max_length is 24"),
    ],
)
def test_a_compact_model_goes_on_with_layers_that_fit(
    run: RunDir, data: Path, tmp_path: Path, changes: Any, distill: Any, told: str
) -> None:
    teacher = {"path": str(head(tmp_path / "t", **changes))}
    with pytest.raises(CofiError) as caught:
        finetune(config(run.model, data, teacher=teacher, distill=distill), RunDir(tmp_path / "r"))
    assert told in caught.value.message and not (tmp_path / "r").exists()


def test_a_compact_model_learns_the_answers_of_a_larger_teacher(
    run: RunDir, data: Path, tmp_path: Path
) -> None:
    teacher = {"path": str(head(tmp_path / "t", hidden_size=32, num_hidden_layers=5))}
    distill = {"matching": "none", "prediction_weight": 1.0}
    made = RunDir(tmp_path / "run")
    finetune(config(run.model, data, teacher=teacher, distill=distill), made)
    assert made.report_json.exists()


def test_without_a_plan_answers_have_to_count(run: RunDir, data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run.model, bare)
    (bare / "plan.json").unlink()
    assert read_json(bare / "config.json")["hidden_size"] < 16
    distill = {"prediction_weight": 0.0, "layer_weight": 1.0}
    own = config(bare, data, teacher={"path": str(run.teacher)}, distill=distill)
    with pytest.raises(CofiError, match="hidden states cannot be distilled") as caught:
        finetune(own, RunDir(tmp_path / "run"))
    assert "distill.prediction_weight=1" in str(caught.value.hint)
