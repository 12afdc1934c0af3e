"""Tiny tokenizers of every kind that our architectures have, trained on a few made-up words."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SYLLABLES = ("ka", "ri", "mo", "ten", "lu", "sha", "po", "vi", "gra", "ne")
PIECES = 150

KINDS: dict[str, str] = {
    "bert": "WordPiece",
    "distilbert": "WordPiece",
    "electra": "WordPiece",
    "ernie": "WordPiece",
    "megatron-bert": "WordPiece",
    "mpnet": "WordPiece",
    "roberta": "BPE of bytes",
    "modernbert": "BPE of bytes",
    "xlm-roberta": "Unigram",
    "camembert": "Unigram",
    "deberta-v2": "Unigram",
}
"""Architecture -> kind of its tokenizer."""
_NAMES = {
    "WordPiece": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "BPE of bytes": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
    "BPE of characters": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
    "Unigram": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
}


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of made-up words, some of them rare, with capitals, digits and signs."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(120)]
    weights = [1 / (place + 1) for place in range(len(words))]
    found = []
    for _ in range(count):
        own = rng.choices(words, weights, k=rng.randint(3, 9))
        found.append(" ".join([*own, rng.choice((".", "!", "7", "né"))]))
    return found


def train(kind: str) -> Tokenizer:
    """Return a tokenizer with the special tokens of its kind; the padding id is 1."""
    pad, unknown, cls, sep, mask = _NAMES[kind]
    special = [cls, pad, sep, unknown, *([mask] if kind == "WordPiece" else [])]
    settings: dict[str, Any] = {"vocab_size": PIECES, "special_tokens": special}
    settings["show_progress"] = False
    if kind == "WordPiece":
        made = Tokenizer(models.WordPiece(unk_token=unknown))
        made.normalizer = normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        trainer: Any = trainers.WordPieceTrainer(**settings)
    elif kind == "BPE of bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        settings["vocab_size"] = PIECES + len(alphabet)
        trainer = trainers.BpeTrainer(**settings, initial_alphabet=alphabet)
    elif kind == "BPE of characters":
        made = Tokenizer(models.BPE(unk_token=unknown, end_of_word_suffix="</w>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(**settings, end_of_word_suffix="</w>")
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(**settings, unk_token=unknown)
    made.train_from_iterator(texts(400), trainer)
    if mask not in special:
        made.add_special_tokens([mask])  # behind all others, as in RoBERTa
    ends = [(token, made.token_to_id(token)) for token in (sep, cls)]
    if kind == "BPE of bytes":
        made.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
    else:
        made.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, made.token_to_id(token)) for token in (cls, sep)],
        )
    return made


def save(folder: Path, kind: str, *, length: int = 32) -> Tokenizer:
    """Write a tokenizer as a checkpoint has it, and return it."""
    made = train(kind)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length}
    settings |= dict(zip(roles, _NAMES[kind], strict=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return made
