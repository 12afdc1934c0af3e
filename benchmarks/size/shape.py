"""A base XLM-R with 5 % of its encoder's weights: random weights, made-up words, real sizes."""

from __future__ import annotations

import json
import random
from itertools import accumulate
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification

PIECES = 250_002
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def make_shape(folder: Path) -> tuple[Path, Path]:
    """Write the compact model with its tokenizer, and texts; return their paths."""
    model, texts = folder / "model", folder / "texts.txt"
    if texts.exists():
        return model, texts
    torch.manual_seed(0)
    rng = random.Random(0)
    words = _words(rng, PIECES - len(_SPECIAL) - len(LETTERS) - 2)
    config = CofiConfig(
        vocab_size=PIECES,
        hidden_size=760,
        pooler_size=768,
        head_dim=64,
        layer_heads=[3, 2, 0, 1, 2, 0, 1, 0, 2, 0, 1, 1],
        layer_ffn=[310, 260, 90, 160, 120, 60, 80, 40, 60, 30, 50, 90],
        max_position_embeddings=514,
        position_offset=2,
        type_vocab_size=1,
        pad_token_id=1,
        num_labels=2,
    )
    model.mkdir(parents=True, exist_ok=True)
    CofiForSequenceClassification(config).save_pretrained(model)
    _save_tokenizer(words, model)
    total = [*accumulate(1 / (place + 20) for place in range(len(words)))]
    lines = (" ".join(rng.choices(words, cum_weights=total, k=20)) for _ in range(40_000))
    texts.write_text("\n".join(lines).replace("▁", "") + "\n", encoding="utf-8")
    return model, texts


def _words(rng: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault("▁" + "".join(rng.choices(LETTERS, k=rng.randint(3, 9))))
    return [*found]


def _save_tokenizer(words: list[str], folder: Path) -> None:
    pieces = [*_SPECIAL, "▁", *LETTERS, *words, "<mask>"]
    scores = [0.0] * len(_SPECIAL) + [-20.0] * (1 + len(LETTERS))
    scores += [-5.0 - place / len(words) for place in range(len(words))] + [0.0]
    made = Tokenizer(models.Unigram([*zip(pieces, scores, strict=True)], unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens([*_SPECIAL, "<mask>"])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    made.save(str(folder / "tokenizer.json"))
    roles = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    settings |= dict(zip(roles, [*_SPECIAL, "<mask>"], strict=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
