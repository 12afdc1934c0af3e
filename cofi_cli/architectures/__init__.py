"""Adapters between Hugging Face checkpoints and our encoder."""

from cofi_cli.architectures.checkpoints import (
    ADAPTERS,
    adapter_for,
    count_parameters,
    has_head,
    head_kind,
    load_dense,
    save_dense,
)
from cofi_cli.architectures.source import load_config_dict, load_tokenizer, resolve

__all__ = [
    "ADAPTERS",
    "adapter_for",
    "count_parameters",
    "has_head",
    "head_kind",
    "load_config_dict",
    "load_dense",
    "load_tokenizer",
    "resolve",
    "save_dense",
]
