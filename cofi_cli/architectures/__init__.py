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
from cofi_cli.architectures.cross_encoder import kept_activation, mark_cross_encoder
from cofi_cli.architectures.source import load_config_dict, load_tokenizer, resolve
from cofi_cli.architectures.taught import read_taught

__all__ = [
    "ADAPTERS",
    "adapter_for",
    "count_parameters",
    "has_head",
    "head_kind",
    "kept_activation",
    "load_config_dict",
    "load_dense",
    "load_tokenizer",
    "mark_cross_encoder",
    "read_taught",
    "resolve",
    "save_dense",
]
