"""Tiny random models of every supported architecture, as transformers makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from cofi_cli.modeling import HEADS
from tests.tiny import SHAPE

_BERT = {
    "vocab_size": 40,
    "hidden_size": SHAPE.hidden,
    "num_hidden_layers": SHAPE.n_layers,
    "num_attention_heads": SHAPE.n_heads,
    "intermediate_size": SHAPE.ffn,
    "max_position_embeddings": 48,
    "initializer_range": 0.15,
}
_DISTILBERT = {
    "vocab_size": 40,
    "dim": SHAPE.hidden,
    "n_layers": SHAPE.n_layers,
    "n_heads": SHAPE.n_heads,
    "hidden_dim": SHAPE.ffn,
    "max_position_embeddings": 48,
    "initializer_range": 0.15,
}
_ROBERTA = _BERT | {"pad_token_id": 1, "type_vocab_size": 1}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _BERT),
    "roberta": ("Roberta", _ROBERTA),
    "xlm-roberta": ("XLMRoberta", _ROBERTA),
    "camembert": ("Camembert", _ROBERTA),
    "distilbert": ("DistilBert", _DISTILBERT),
    "electra": ("Electra", _BERT | {"embedding_size": SHAPE.hidden}),
    "electra, narrow embeddings": ("Electra", _BERT | {"embedding_size": 6}),
}
"""Name -> the family's class prefix and its configuration."""

CLASSES = {
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "span": "ForQuestionAnswering",
    "embedding": "Model",
}
LABELS = {"sequence": 3, "token": 3, "span": 2, "embedding": 2}
assert CLASSES.keys() == HEADS.keys()


def theirs(case: str, head: str) -> Any:
    """Return transformers' own random model; no weight or bias is 0 or 1 by design."""
    family, values = CASES[case]
    config = getattr(transformers, f"{family}Config")(**values, num_labels=LABELS[head])
    torch.manual_seed(0)
    model = getattr(transformers, family + CLASSES[head])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def save_theirs(case: str, head: str, folder: Path) -> Any:
    """Write such a model; return it."""
    model = theirs(case, head)
    model.save_pretrained(folder)
    return model


def batch(case: str) -> dict[str, torch.Tensor]:
    """Return rows padded on the right, with the padding id of the case, no other row of it."""
    pad = int(CASES[case][1].get("pad_token_id", 0))
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 40, (3, 11), generator=generator)
    mask = torch.ones_like(ids)
    for row, length in enumerate((11, 9, 4)):
        mask[row, length:] = 0
        ids[row, length:] = pad
    types = torch.zeros_like(ids)
    if CASES[case][1].get("type_vocab_size", 2) > 1:
        types[:, 3:] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types * mask}
