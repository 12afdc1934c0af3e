"""What a checkpoint's configuration says that it teaches; cross-encoders and their activation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from cofi_cli.architectures import load_dense, read_answers, save_dense
from cofi_cli.architectures.cross_encoder import activation_of
from cofi_cli.errors import CofiError
from cofi_cli.tasks import Taught
from tests.tiny import batch, bert_config, save_bert


def read_taught(name: str, kind: str | None = None) -> tuple[str, tuple[str, ...]]:
    taught = Taught.of(read_answers(name), kind)
    return taught.kind.name, taught.labels


IDENTITY = "torch.nn.modules.linear.Identity"


def save(folder: Path, kind: type, **changes: object) -> str:
    kind(bert_config(**changes)).save_pretrained(folder)
    return str(folder)


def rewrite(folder: str, **changes: object) -> None:
    path = Path(folder) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


NAMES = {"id2label": {0: "b", 1: "a"}, "label2id": {"b": 0, "a": 1}}


@pytest.mark.parametrize(
    ("own", "changes", "expected"),
    [
        (BertForSequenceClassification, NAMES, ("classification", ("b", "a"))),
        (
            BertForSequenceClassification,
            NAMES | {"problem_type": "multi_label_classification"},
            ("multilabel", ("b", "a")),
        ),
        (BertForSequenceClassification, {"num_labels": 1}, ("regression", ())),
        (BertForTokenClassification, NAMES, ("tokens", ("b", "a"))),
        (BertForQuestionAnswering, {}, ("span", ())),
        (
            BertForSequenceClassification,
            {"num_labels": 11},
            ("classification", tuple(f"LABEL_{i}" for i in range(11))),
        ),
    ],
)
def test_kind_and_labels(tmp_path, own, changes, expected):
    assert read_taught(save(tmp_path, own, **changes)) == expected


def test_what_is_asked_for_must_fit(tmp_path):
    number = save(tmp_path / "one", BertForSequenceClassification, num_labels=1)
    assert read_taught(number, "ranking") == ("ranking", ())
    two = save(tmp_path / "two", BertForSequenceClassification)
    assert read_taught(two, "multilabel") == ("multilabel", ("LABEL_0", "LABEL_1"))
    with pytest.raises(CofiError) as caught:
        read_taught(two, "tokens")
    assert caught.value.message == (
        f"The teacher '{two}' is for --kind classification or multilabel (2 outputs, "
        "problem_type None), not for tokens."
    )


def test_a_bare_encoder_teaches_nothing(tmp_path):
    bare = save(tmp_path, BertModel)
    with pytest.raises(CofiError) as caught:
        read_taught(bare)
    assert "has no task head, so it has nothing to teach (architectures: BertModel)" in str(
        caught.value
    )
    assert caught.value.hint == f"Fine-tune it first: cofi finetune {bare} --task TASK"


@pytest.mark.parametrize("era", ["3", "4", "6"])
def test_a_cross_encoder_ranks_and_keeps_its_head_and_activation(tmp_path, era):
    """As sentence-transformers wrote them before 4, from 4, and from 6 on."""
    folder = str(save_bert(tmp_path / "ce", num_labels=1))
    if era == "3":
        rewrite(folder, sbert_ce_default_activation_function=IDENTITY)
    elif era == "4":
        rewrite(folder, sentence_transformers={"activation_fn": IDENTITY, "version": "4.1.0"})
    else:
        saved = {"model_type": "CrossEncoder", "activation_fn": IDENTITY}
        (Path(folder) / "config_sentence_transformers.json").write_text(json.dumps(saved))
    assert activation_of(folder) == IDENTITY
    assert read_taught(folder) == ("ranking", ())
    model = load_dense(folder, num_labels=1).eval()
    theirs = BertForSequenceClassification.from_pretrained(folder).eval()
    inputs = batch()
    with torch.no_grad():
        assert torch.allclose(model(**inputs).logits, theirs(**inputs).logits, atol=1e-6)
    assert model.config.sentence_transformers == {"activation_fn": IDENTITY}
    save_dense(model, tmp_path / "again", source=folder)
    assert activation_of(str(tmp_path / "again")) == IDENTITY


def test_an_embedder_of_sentence_transformers_is_no_cross_encoder(tmp_path):
    folder = str(save_bert(tmp_path / "m", num_labels=1))
    saved = {"model_type": "SentenceTransformer", "activation_fn": None}
    (Path(folder) / "config_sentence_transformers.json").write_text(json.dumps(saved))
    assert activation_of(folder) is None
    assert read_taught(folder) == ("regression", ())
