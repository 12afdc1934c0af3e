"""Tiny random sentence embedders, as sentence-transformers writes them, and texts for them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertModel, BertTokenizerFast

from tests.tiny import BAD, FILLER, GOOD, bert_config

WIDTH = 6
"""Of the embeddings, where there is a dense layer."""
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER)
TYPES = "sentence_transformers.models."


def write(file: Path, values: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values), encoding="utf-8")


def save_embedder(
    folder: Path,
    *,
    pooling: str = "mean",
    dense: str | None = None,
    normalize: bool = True,
    seed: int = 0,
) -> Path:
    """Write a random embedder; ``dense`` is the activation of a Dense module, if any."""
    torch.manual_seed(seed)
    config = bert_config(initializer_range=0.4)
    BertModel(config).save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder, model_max_length=48).save_pretrained(folder)
    kinds = ["Transformer", "Pooling"]
    kinds += ["Dense"] * (dense is not None) + ["Normalize"] * normalize
    paths = {kind: f"{place}_{kind}" if place else "" for place, kind in enumerate(kinds)}
    write(
        folder / "modules.json",
        [
            {"idx": place, "name": str(place), "path": paths[kind], "type": TYPES + kind}
            for place, kind in enumerate(kinds)
        ],
    )
    keys = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    own = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    modes = {f"pooling_mode_{key}": key == own for key in keys}
    write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": config.hidden_size, **modes},
    )
    if dense is not None:
        place = folder / paths["Dense"]
        shape = {"in_features": config.hidden_size, "out_features": WIDTH, "bias": True}
        write(place / "config.json", {**shape, "activation_function": dense})
        tensors = {
            "linear.weight": torch.randn(WIDTH, config.hidden_size) / 2,
            "linear.bias": torch.randn(WIDTH) / 2,
        }
        save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    write(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "the "}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    return folder


def sentences(count: int, seed: int = 0) -> list[str]:
    """Return texts of 2 to 12 words."""
    rng = random.Random(seed)
    words = (*GOOD, *BAD, *FILLER)
    return [" ".join(rng.choices(words, k=rng.randint(2, 12))) for _ in range(count)]


def save_texts(folder: Path, *, rows: int = 160) -> tuple[Path, Path]:
    """Write texts.txt and sts.tsv, whose pairs are rated by the words that they share."""
    folder.mkdir(parents=True, exist_ok=True)
    texts, pairs = folder / "texts.txt", folder / "sts.tsv"
    texts.write_text("\n".join(sentences(rows)) + "\n", encoding="utf-8")
    lines = ["sentence1\tsentence2\tscore"]
    for one, other in zip(sentences(40, 1), sentences(40, 2), strict=True):
        a, b = set(one.split()), set(other.split())
        lines.append(f"{one}\t{other}\t{5 * len(a & b) / len(a | b):.2f}")
    pairs.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts, pairs
