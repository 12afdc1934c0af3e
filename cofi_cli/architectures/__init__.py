"""Adapters between Hugging Face checkpoints and our encoder."""

from cofi_cli.architectures.answers import read_answers
from cofi_cli.architectures.checkpoints import (
    ADAPTERS,
    adapter_for,
    count_parameters,
    dense_config,
    has_head,
    head_kind,
    is_compact,
    load_dense,
    read_config,
    save_dense,
)
from cofi_cli.architectures.cross_encoder import kept_activation, mark_cross_encoder
from cofi_cli.architectures.embedders import (
    embedder_tokenizer,
    is_embedder,
    read_embedder,
    write_modules,
)
from cofi_cli.architectures.hub import (
    has_tokenizer,
    load_config_dict,
    load_tokenizer,
    resolve,
    save_tokenizer,
)
