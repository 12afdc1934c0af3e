"""A finished run of tiny random models, and its export."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from cofi_cli import export
from cofi_cli.config import RunConfig, TaskConfig
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import ExportRecord
from tests.records import run_report

WORDS = ("good", "bad", "fine", "film", "plot", "the", "a", "is", "very", "not")
LABELS = {0: "neg", 1: "pos"}


def tokenizer(folder: Path) -> BertTokenizerFast:
    vocab = folder / "vocab"
    vocab.mkdir()
    (vocab / "vocab.txt").write_text(
        "\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))
    )
    made = BertTokenizerFast.from_pretrained(vocab, model_max_length=32)
    assert len(made) == 15
    shutil.rmtree(vocab)
    return made


def texts(path: Path, rows: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    lines = ["sentence\tlabel"]
    for i in range(rows):
        words = rng.choice(WORDS, size=rng.integers(1, 12))
        lines.append(f"{' '.join(words)}\t{LABELS[i % 2]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run as ``cofi prune`` leaves it: teacher, compact model, configuration, report."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("runs")
    run = RunDir(root / "tiny")
    run.root.mkdir()
    words = tokenizer(root)
    labels = {"id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}}
    shared = {"vocab_size": len(words), "max_position_embeddings": 32, **labels}
    teacher = BertForSequenceClassification(
        BertConfig(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=48,
            initializer_range=0.5,
            **shared,
        )
    )
    compact = CofiForSequenceClassification(
        CofiConfig(
            hidden_size=29,
            pooler_size=32,
            head_dim=8,
            layer_heads=[3, 0, 1],
            layer_ffn=[7, 0, 0],
            **shared,
        )
    )
    for model, folder in ((teacher, run.teacher), (compact, run.model)):
        model.save_pretrained(folder)
        words.save_pretrained(folder)
    task = TaskConfig(
        train=texts(root / "train.tsv", 20, 1),
        validation=texts(root / "dev.tsv", 40, 2),
        max_length=32,
    )
    config = RunConfig(model="tiny", task=task)
    run.config.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    run_report(task="dev").write(run.report_json)
    return run.root


@pytest.fixture(scope="module")
def exported(finished) -> ExportRecord:
    return export(finished, graph="plain")
