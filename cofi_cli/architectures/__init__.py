"""Adapters between Hugging Face checkpoints and our encoder."""

from cofi_cli.architectures.checkpoints import (
    ADAPTERS,
    adapter_for,
    count_parameters,
    has_head,
    head_kind,
    load_dense,
    read_config,
    save_dense,
)
from cofi_cli.architectures.embedders import (
    embedder_tokenizer,
    is_embedder,
    read_embedder,
    write_modules,
)
from cofi_cli.architectures.source import (
    load_config_dict,
    load_tokenizer,
    resolve,
    save_tokenizer,
)

__all__ = [
    "ADAPTERS",
    "adapter_for",
    "count_parameters",
    "embedder_tokenizer",
    "has_head",
    "head_kind",
    "is_embedder",
    "load_config_dict",
    "load_dense",
    "load_tokenizer",
    "read_config",
    "read_embedder",
    "resolve",
    "save_dense",
    "save_tokenizer",
    "write_modules",
]
