"""Tiny random models, tokenizers and data that several tests share."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from cofi_cli.config import RunConfig
from cofi_cli.modeling import Masks
from cofi_cli.pruning.sparsity import EncoderShape

GOOD = ("good", "fine", "great", "lovely")
BAD = ("bad", "poor", "awful", "dull")
FILLER = ("the", "a", "film", "plot", "is", "was", "and", "its", "actor", "scene")
SHAPE = EncoderShape(n_layers=3, n_heads=4, head_dim=4, ffn=24, hidden=16)


def bert_config(**changes: object) -> BertConfig:
    """Return a three-layer BERT configuration."""
    values = {
        "vocab_size": 40,
        "hidden_size": SHAPE.hidden,
        "num_hidden_layers": SHAPE.n_layers,
        "num_attention_heads": SHAPE.n_heads,
        "intermediate_size": SHAPE.ffn,
        "max_position_embeddings": 48,
        "initializer_range": 0.15,
    }
    return BertConfig(**(values | changes))


def save_bert(folder: Path, *, seed: int = 0, num_labels: int = 2) -> Path:
    """Write a random BERT classifier with its tokenizer."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    config = bert_config(num_labels=num_labels)
    BertForSequenceClassification(config).save_pretrained(folder)
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=32)
    assert len(tokenizer) == len(words)
    tokenizer.save_pretrained(folder)
    return folder


def save_reviews(folder: Path, *, rows: int = 128) -> Path:
    """Write train.tsv and dev.tsv of a learnable two-class task."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for name, count in (("train", rows), ("dev", rows // 2)):
        lines = ["sentence\tlabel"]
        for i in range(count):
            words = rng.choices(FILLER, k=rng.randint(1, 6))
            for _ in range(3):
                words.insert(rng.randint(0, len(words)), rng.choice((BAD, GOOD)[i % 2]))
            lines.append(f"{' '.join(words)}\t{i % 2}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def save_questions(folder: Path, *, rows: int = 128) -> Path:
    """Write train.json and dev.json in SQuAD's form: which good word is in the context?"""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for name, count in (("train", rows), ("dev", rows // 2)):
        paragraphs = []
        for i in range(count):
            words = rng.choices(FILLER + BAD, k=rng.randint(4, 30))
            place = rng.randrange(len(words))
            words[place] = rng.choice(GOOD)
            start = len(" ".join([*words[:place], ""]))
            question = {
                "id": f"{name}{i}",
                "question": "is the film good",
                "answers": [{"text": words[place], "answer_start": start}],
            }
            paragraphs.append({"context": " ".join(words), "qas": [question]})
        whole = {"version": "1.1", "data": [{"title": "reviews", "paragraphs": paragraphs}]}
        (folder / f"{name}.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


def save_tagged(folder: Path, *, rows: int = 128) -> Path:
    """Write train.conll and dev.conll of a learnable tagging: praise and blame of some words."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for name, count in (("train", rows), ("dev", rows // 2)):
        lines = []
        for _ in range(count):
            for _ in range(rng.randint(1, 3)):
                lines += [f"{word}\tO" for word in rng.choices(FILLER, k=rng.randint(1, 3))]
                kind, words = rng.choice((("praise", GOOD), ("blame", BAD)))
                chosen = rng.choices(words, k=rng.randint(1, 2))
                lines += [f"{w}\t{'I' if i else 'B'}-{kind}" for i, w in enumerate(chosen)]
            lines.append("")
        (folder / f"{name}.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def quick_config(model: Path, data: Path, **changes: dict[str, object]) -> RunConfig:
    """Return a configuration that runs through all stages in seconds."""
    values: dict[str, dict[str, object]] = {
        "teacher": {"epochs": 3, "learning_rate": 5e-3, "batch_size": 8},
        "prune": {
            "sparsity": 0.6,
            "epochs": 4,
            "dense_epochs": 1,
            "ramp_epochs": 1,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "gate_learning_rate": 0.3,
            "multiplier_learning_rate": 0.3,
        },
        "recover": {"epochs": 2, "learning_rate": 3e-3, "batch_size": 8},
        "train": {
            "precision": "fp32",
            "checkpoint_steps": 7,
            "threads": 1,
            "device": "cpu",
        },
    }
    for section, own in changes.items():
        values[section] = values.get(section, {}) | own
    return RunConfig(
        model=str(model),
        task={"name": "sst2", "data": str(data), "max_length": 24},
        **values,
    )


def random_masks(shape: EncoderShape, seed: int, *, soft: bool, closed: float = 0.5) -> Masks:
    """Return gate values of which a share is exactly 0, the rest 1 or fractions."""
    generator = torch.Generator().manual_seed(seed)

    def values(*size: int, share: float = closed) -> torch.Tensor:
        is_open = (torch.rand(size, generator=generator) >= share).float()
        value = torch.rand(size, generator=generator) * 0.9 + 0.1 if soft else torch.ones(size)
        return is_open * value

    hidden = values(shape.hidden, share=closed / 2)
    hidden[0] = 1.0
    return Masks(
        head=values(shape.n_layers, shape.n_heads),
        attention=values(shape.n_layers, share=closed / 2),
        ffn_dim=values(shape.n_layers, shape.ffn),
        ffn=values(shape.n_layers, share=closed / 2),
        hidden=hidden,
    )


def batch(*, rows: int = 3, length: int = 11, vocabulary: int = 40) -> dict[str, torch.Tensor]:
    """Return random inputs with padding and two segments."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocabulary, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        mask[row, length - 2 * row :] = 0
    types = torch.zeros_like(ids)
    types[:, length // 2 :] = 1
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": types * mask,
    }
