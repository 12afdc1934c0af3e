"""Cross-encoders of sentence-transformers: one logit a pair, and the activation on it.

The activation does not change an order, so it is no part of the models here. Configurations
carry it on, so that sentence-transformers scores a pruned model as it scored the dense one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.hub import load_config_dict, load_json, resolve

_KEY = "sentence_transformers"
_BEFORE_4 = "sbert_ce_default_activation_function"
DEFAULT = "torch.nn.modules.activation.Sigmoid"


def activation_of(name: str) -> str | None:
    """Return the class's path of what a cross-encoder puts on its logit.

    ``None`` for any checkpoint that sentence-transformers has not written as one.
    """
    source = resolve(name)
    config = load_config_dict(source)
    own = config.get(_KEY) or {}
    if isinstance(own, Mapping) and own.get("activation_fn"):
        return str(own["activation_fn"])
    if config.get(_BEFORE_4):
        return str(config[_BEFORE_4])
    saved = load_json(source, "config_sentence_transformers.json")
    if saved is None or saved.get("model_type") != "CrossEncoder":
        return None
    return str(saved.get("activation_fn") or DEFAULT)


def activation_config(activation: str | None) -> dict[str, Any]:
    """Return what a configuration says of an activation, as sentence-transformers reads it."""
    return {} if activation is None else {_KEY: {"activation_fn": activation}}


def mark_cross_encoder(config: Any) -> None:
    """Let a configuration say that its one logit ranks, unless it says so already."""
    if not kept_activation(config):
        config.update(activation_config(DEFAULT))


def kept_activation(config: Any) -> dict[str, Any]:
    """Return what a loaded configuration says of its activation."""
    found = getattr(config, _KEY, None)
    return {} if found is None else {_KEY: dict(found)}
