"""A checkpoint as an export takes it: the model with its head, and its config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cofi_cli.architectures import (
    adapter_for,
    has_head,
    head_kind,
    is_embedder,
    load_config_dict,
    load_dense,
    resolve,
)
from cofi_cli.errors import CofiError
from cofi_cli.modeling import HEADS, CofiConfig, CofiForTask
from cofi_cli.tasks.teacher.taught import label_names


def load_model(name: str, *, longest: int | None = None) -> CofiForTask:
    """Load a checkpoint, dense or compact, with the task head that it carries.

    Args:
        name: of the checkpoint.
        longest: tokens of a row; position rows beyond it are left out. ``None`` keeps all.

    Raises:
        CofiError: it cannot be loaded, carries no task head to export, or has no table of
            positions that could be shortened.
    """
    config = load_config_dict(resolve(name))
    is_ours = config["model_type"] == CofiConfig.model_type
    if not is_ours:
        adapter_for(name, config)
    labels, head = label_names(config), head_kind(config)
    if head is None or (head == "embedding" and not is_ours):
        # A bare encoder says nothing of how it is pooled, unless modules.json lies beside it.
        head = "embedding" if is_embedder(name) else "sequence"
    num_labels = HEADS[head].outputs or len(labels) or int(config.get("num_labels", 2))
    if not has_head(name, num_labels=num_labels, head=head):
        raise CofiError(
            f"'{name}' has no task head: its answers would be random.",
            hint="Fine-tune it on a task first: cofi finetune MODEL --task TASK. A sentence "
            "embedder needs its modules.json, as sentence-transformers writes it.",
        )
    model = load_dense(
        name,
        head=head,
        num_labels=num_labels,
        labels=labels,
        problem_type=config.get("problem_type"),
    )
    model.leave_out_identity()
    model.config._attn_implementation = "eager"
    model.train(False)
    if longest is not None:
        _shorten(model, longest)
    return model


def _shorten(model: CofiForTask, longest: int) -> None:
    """Remove the position rows that rows of ``longest`` tokens do not reach, in place."""
    config = model.config
    if config.position != "learned" or config.disentangled:
        raise CofiError(
            "--max-length removes rows of a table of positions, and this model's positions are "
            "no such table.",
            hint="Leave --max-length out.",
        )
    if not 2 <= longest <= config.longest_input:
        raise CofiError(
            f"max_length is {longest}; the model takes 2 to {config.longest_input} tokens.",
            hint=f"Use --max-length {config.longest_input} or less.",
        )
    rows = longest + config.position_offset
    embeddings: Any = model.model.encoder.embeddings
    weight = embeddings.position.weight
    with torch.no_grad():
        embeddings.position = nn.Embedding(rows, weight.shape[1], _weight=weight[:rows].clone())
    config.max_position_embeddings = rows


def write_config(name: str, folder: Path, *, changed: Mapping[str, Any] | None = None) -> None:
    """Write config.json as runtimes read it: labels and sizes, and no code that has to be trusted.

    A compact model is described as one of its source's type, so that for example optimum's
    ``ORTModelForSequenceClassification`` opens the folder as it stands. The widths of each
    layer are there too, under the names of :class:`cofi_cli.modeling.CofiConfig`.

    Args:
        name: of the checkpoint.
        folder: where the file goes.
        changed: what is otherwise than in the checkpoint.
    """
    config = load_config_dict(resolve(name))
    for key in ("_commit_hash", "auto_map", "architectures"):
        config.pop(key, None)
    config |= changed or {}
    if "source_model_type" in config:
        config |= {
            "model_type": config["source_model_type"],
            "num_hidden_layers": len(config["layer_heads"]),
            # Others divide by it; a model may have lost all attention.
            "num_attention_heads": max(1, *config["layer_heads"]),
            "intermediate_size": max(config["layer_ffn"]),
        }
        # Names of single architectures; others do not read them.
        config["hidden_dim"] = config["intermediate_size"]  # DistilBERT
        if config.get("embedding_size") is None:  # ELECTRA takes a number only
            config["embedding_size"] = config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
