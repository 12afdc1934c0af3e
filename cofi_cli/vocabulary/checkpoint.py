"""A checkpoint with fewer pieces: its word vectors, its configuration, its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from cofi_cli.architectures import ADAPTERS, load_config_dict, load_tokenizer, resolve
from cofi_cli.architectures.embedders import copy_modules
from cofi_cli.architectures.hub import save_tokenizer
from cofi_cli.architectures.weights import Tensors, load_weights
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.vocabulary.pieces import Trimmed

WORDS = "model.encoder.embeddings.word.weight"
_OLD = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "*.model")
"""Vocabularies that transformers writes next to tokenizer.json; they hold all pieces."""
_BY_PADDING = ("mpnet", "roberta", "xlm-roberta", "camembert")
"""Model types whose positions begin after the padding id, so that none before it may go."""
_BESIDE = ("plan.json", "*.py")
"""Of a compact model."""


def needed_ids(name: str) -> list[int]:
    """Return ids that a checkpoint's configuration relies on."""
    config = load_config_dict(resolve(name))
    found = [value for key, value in config.items() if _is_id(key, value)]
    padding = config.get("pad_token_id")
    if isinstance(padding, int) and config["model_type"] in _BY_PADDING:
        found += range(padding + 1)
    return found


def write_trimmed(name: str, folder: Path, trimmed: Trimmed) -> None:
    """Write a checkpoint that answers as ``name`` does where all pieces are there.

    Args:
        name: a folder or hub id, dense or compact, with a task head or without.
        folder: made; an ordinary checkpoint of the same architecture.
        trimmed: of the checkpoint's own tokenizer.

    Raises:
        CofiError: it has no table of word vectors with a row for each piece.
    """
    source = resolve(name)
    config = load_config_dict(source)
    state = load_weights(source)
    ours = _our_names(state, config)
    table = next((key for key, names in ours.items() if WORDS in names), None)
    if table is None or len(state[table]) <= max(trimmed.rows):
        rows = "no" if table is None else len(state[table])
        raise CofiError(
            f"'{name}' has {rows} word vectors, and its tokenizer has {max(trimmed.rows) + 1} "
            "pieces.",
            hint="Is it the tokenizer of this model?",
        )
    count = len(state[table])
    # A language model's head, which no task reads, has a row for each piece as well.
    sliced = {key for key in state if len(state[key].shape) and len(state[key]) == count}
    sliced -= ours.keys() - {table}
    state = {k: v[trimmed.rows].contiguous() if k in sliced else v for k, v in state.items()}
    ids = {k: trimmed.kept[v] for k, v in config.items() if _is_id(k, v) and v in trimmed.kept}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = config | ids | {"vocab_size": len(trimmed.rows)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    _write_tokenizer(name, folder, trimmed)
    copy_modules(source, folder)
    for pattern in _BESIDE if Path(source).is_dir() else ():
        for file in Path(source).glob(pattern):
            shutil.copyfile(file, folder / file.name)


def _write_tokenizer(name: str, folder: Path, trimmed: Trimmed) -> None:
    """Write the tokenizer with the settings of the old one, and see that it opens."""
    save_tokenizer(load_tokenizer(name), folder)
    for pattern in _OLD:
        for file in folder.glob(pattern):
            file.unlink()
    own = folder / "tokenizer.json"
    written = json.loads(own.read_text(encoding="utf-8"))
    layout = trimmed.layout | {"truncation": written["truncation"]}
    own.write_text(json.dumps(layout, ensure_ascii=False) + "\n", encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    values = json.loads(settings.read_text(encoding="utf-8"))
    if "added_tokens_decoder" in values:
        tokens = values["added_tokens_decoder"].items()
        values["added_tokens_decoder"] = {str(trimmed.kept[int(i)]): t for i, t in tokens}
        settings.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    found = load_tokenizer(str(folder))
    if len(found) != len(trimmed.rows):
        raise CofiError(
            f"transformers opens the trimmed tokenizer of '{name}' with {len(found)} pieces in "
            f"the place of {len(trimmed.rows)}.",
            hint="Leave --vocab out.",
        )


def _is_id(key: str, value: Any) -> bool:
    return key.endswith("_token_id") and isinstance(value, int)


def _our_names(state: Tensors, config: dict[str, Any]) -> dict[str, set[str]]:
    """Return what we call each tensor that a model of ours reads, by its name in the checkpoint."""
    if config["model_type"] == CofiConfig.model_type:
        return {key: {key} for key in state}
    adapter = ADAPTERS[config["model_type"]]
    found = {
        key: {name for head in adapter.heads for name in adapter.to_ours({key: tensor}, head)}
        for key, tensor in state.items()
    }
    return {key: names for key, names in found.items() if names}
