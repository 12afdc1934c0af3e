"""Tiny random checkpoints of every architecture: what the contract of an adapter is tested on.

A new architecture is one entry in :data:`TINY`.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import transformers

from cofi_cli.architectures.checkpoints import ADAPTERS
from cofi_cli.modeling import Masks
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import EncoderShape
from tests.tiny import SHAPE, batch

_SIZES = {
    "vocab_size": 40,
    "hidden_size": SHAPE.hidden,
    "num_hidden_layers": SHAPE.n_layers,
    "num_attention_heads": SHAPE.n_heads,
    "intermediate_size": SHAPE.ffn,
    "max_position_embeddings": 48,
    "initializer_range": 0.15,
}
_ROBERTA = _SIZES | {"pad_token_id": 1, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_MODERN = _SIZES | {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "local_attention": 4,
    "global_attn_every_n_layers": 2,
    "initializer_cutoff_factor": 3.0,
}
_DEBERTA = _SIZES | {
    "pad_token_id": 0,
    "relative_attention": True,
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
}

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", _SIZES),
    "roberta": ("roberta", _ROBERTA),
    "xlm-roberta": ("xlm-roberta", _ROBERTA),
    "camembert": ("camembert", _ROBERTA),
    "electra": ("electra", _SIZES | {"embedding_size": 10}),
    "electra, no projection": ("electra", _SIZES | {"embedding_size": SHAPE.hidden}),
    "ernie": ("ernie", _SIZES),
    "megatron-bert": ("megatron-bert", _SIZES),
    "distilbert": (
        "distilbert",
        {
            "vocab_size": 40,
            "dim": SHAPE.hidden,
            "n_layers": SHAPE.n_layers,
            "n_heads": SHAPE.n_heads,
            "hidden_dim": SHAPE.ffn,
            "max_position_embeddings": 48,
            "initializer_range": 0.15,
        },
    ),
    "modernbert": ("modernbert", _MODERN),
    "modernbert, mean and biases": (
        "modernbert",
        _MODERN
        | {
            "classifier_pooling": "mean",
            "classifier_bias": True,
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
        },
    ),
    "mpnet": ("mpnet", _SIZES | {"pad_token_id": 1}),
    "deberta-v2": (  # as v3 has it, with more tokens than its distances reach
        "deberta-v2",
        _DEBERTA
        | {
            "position_biased_input": False,
            "position_buckets": 4,
            "max_relative_positions": 8,
            "norm_rel_ebd": "layer_norm",
        },
    ),
    "deberta-v2, one term and narrow embeddings": (
        "deberta-v2",
        _DEBERTA
        | {
            "pos_att_type": ["c2p"],
            "max_relative_positions": 6,
            "type_vocab_size": 2,
            "embedding_size": 10,
        },
    ),
}
"""Name -> model type and the arguments of its transformers configuration."""

HEADS = ("sequence", "token", "span", "embedding", "encoder")
LABELS = {"sequence": 3, "token": 5, "span": 2, "embedding": 1, "choice": 3, "encoder": 1}


def class_of(name: str, head: str) -> Any:
    """Return transformers' class of a head."""
    return getattr(transformers, ADAPTERS[TINY[name][0]].heads[head].class_name)


_DISTILBERT = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
}


def resized(name: str, shape: EncoderShape) -> dict[str, Any]:
    """Return the arguments of an architecture in another shape."""
    _, arguments = TINY[name]
    sizes: dict[str, Any] = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "intermediate_size": shape.ffn,
    }
    if "dim" in arguments:
        sizes = {_DISTILBERT[key]: value for key, value in sizes.items()}
    if arguments.get("embedding_size") == SHAPE.hidden:  # no projection
        sizes["embedding_size"] = shape.hidden
    return arguments | sizes


def save(
    folder: Path,
    name: str,
    head: str,
    *,
    class_name: str | None = None,
    shape: EncoderShape | None = None,
    seed: int = 3,
) -> Path:
    """Write a random checkpoint whose norms and biases are random too."""
    model_type, arguments = TINY[name]
    if shape is not None:
        arguments = resized(name, shape)
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(model_type, num_labels=LABELS[head], **arguments)
    model = (getattr(transformers, class_name) if class_name else class_of(name, head))(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return folder


def inputs_of(name: str) -> dict[str, torch.Tensor]:
    """Return a padded batch as this architecture takes it."""
    model_type, arguments = TINY[name]
    inputs = batch()
    pad = arguments.get("pad_token_id", 0)
    inputs["input_ids"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, pad)
    config = transformers.AutoConfig.for_model(model_type, **arguments)
    if getattr(config, "type_vocab_size", 0) < 2:
        del inputs["token_type_ids"]
    return inputs


def plan_of(masks: Masks, shape: EncoderShape, *, soft: bool) -> PrunePlan:
    """Write masks down as a plan."""
    layers = range(shape.n_layers)
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[masks.kept_heads(i) for i in layers],
        ffn=[masks.kept_ffn(i) for i in layers],
        hidden=masks.kept_hidden(),
        values={f.name: getattr(masks, f.name).tolist() for f in fields(masks)} if soft else None,
    )
