"""Load a checkpoint as a dense model of ours, and write one back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers.utils import logging as transformers_logging

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import BERT
from cofi_cli.architectures.source import load_config_dict, load_weights, resolve
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification

ADAPTERS: Mapping[str, Adapter] = {BERT.model_type: BERT}
_HEAD = ("model.pooler.", "classifier.")


def adapter_for(name: str, config: Mapping[str, Any]) -> Adapter:
    """Return the adapter of a checkpoint's configuration.

    Raises:
        CofiError: the architecture, or a variant of it, is not supported.
    """
    model_type = config["model_type"]
    if model_type not in ADAPTERS:
        raise CofiError(
            f"'{name}' is a '{model_type}' model, which is not supported. "
            f"Supported architectures: {', '.join(sorted(ADAPTERS))}.",
        )
    adapter = ADAPTERS[model_type]
    for key, needed in adapter.fixed.items():
        if config.get(key, needed) != needed:
            raise CofiError(f"'{name}' has {key}={config[key]!r}; supported is only {needed!r}.")
    return adapter


def load_dense(
    name: str,
    *,
    num_labels: int,
    labels: tuple[str, ...] = (),
    problem_type: str | None = None,
) -> CofiForSequenceClassification:
    """Load a folder or hub id: a Hugging Face checkpoint or a compact model of ours.

    A classification head is kept when it has ``num_labels`` rows and its label
    names do not contradict ``labels``; otherwise a new one is initialised from
    torch's global random state.

    Raises:
        CofiError: not reachable, not supported or not complete.
    """
    source = resolve(name)
    theirs = load_config_dict(source)
    if theirs["model_type"] == CofiConfig.model_type:
        transformers_logging.disable_progress_bar()
        return CofiForSequenceClassification.from_pretrained(source)
    adapter = adapter_for(name, theirs)
    config = CofiConfig(
        **adapter.config_to_ours(theirs),
        num_labels=num_labels,
        problem_type=problem_type,
        **_label_maps(labels),
    )
    model = CofiForSequenceClassification(config)
    found = adapter.to_ours(load_weights(source))
    own = model.state_dict()
    if "classifier.weight" in found and found["classifier.weight"].shape[0] != num_labels:
        found = {k: v for k, v in found.items() if not k.startswith("classifier.")}
    missing = [k for k in own if k not in found and not k.startswith(_HEAD)]
    if missing:
        raise CofiError(
            f"'{name}' lacks {len(missing)} of the encoder's tensors, the first: {missing[0]}.",
            hint=f"Is it a complete {adapter.model_type} checkpoint?",
        )
    for key, tensor in found.items():
        if own[key].shape != tensor.shape:
            raise CofiError(
                f"'{name}': {key} has shape {tuple(tensor.shape)}, "
                f"its config.json says {tuple(own[key].shape)}."
            )
    model.load_state_dict(found, strict=False)
    return model


def has_head(name: str, *, num_labels: int) -> bool:
    """Whether a checkpoint carries a classifier of ``num_labels`` outputs."""
    weights = load_weights(resolve(name))
    return "classifier.weight" in weights and weights["classifier.weight"].shape[0] == num_labels


def save_dense(model: CofiForSequenceClassification, folder: Path, *, source: str) -> None:
    """Write a dense model as an ordinary checkpoint of its own architecture.

    Args:
        model: in the dense state.
        folder: made if missing; gets config.json and model.safetensors.
        source: the checkpoint that it came from, for the rest of its configuration.
    """
    theirs = load_config_dict(resolve(source))
    adapter = ADAPTERS[model.config.source_model_type]
    config = theirs | {
        "architectures": [adapter.head_class],
        "id2label": {str(k): v for k, v in model.config.id2label.items()},
        "label2id": dict(model.config.label2id),
        "problem_type": model.config.problem_type,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(
        adapter.to_theirs(state),
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def _label_maps(labels: tuple[str, ...]) -> dict[str, Any]:
    if not labels:
        return {}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of weights of a module."""
    return sum(p.numel() for p in model.parameters())
