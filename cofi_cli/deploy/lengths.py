"""How many tokens models take, and the length that is timed unless told otherwise."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from cofi_cli.deploy.targets import Model
from cofi_cli.errors import CofiError

logger = logging.getLogger(__name__)

LENGTH = 128
"""Tokens."""


def longest_input(name: str) -> int:
    """Return the most tokens that a checkpoint takes, or the files of an export folder.

    Raises:
        CofiError: no configuration of a supported architecture.
    """
    from cofi_cli.architectures import load_config_dict, read_config, resolve

    config = load_config_dict(resolve(name))
    if "position_offset" in config:  # a model of ours, or its export
        return int(config["max_position_embeddings"]) - int(config["position_offset"])
    return read_config(name, "sequence").longest_input


def usual_length(models: Sequence[Model]) -> int:
    """Return :data:`LENGTH`, or what every model takes where that is less, and say so.

    What a model takes is in the config.json beside its file; one without may take any length.
    """
    limits = {model.name: _limit(model.tokenizer) for model in models}
    shortest = min(limits, key=lambda name: limits[name])
    if limits[shortest] >= LENGTH:
        return LENGTH
    logger.warning("Timed at a length of %d tokens: %s takes no more.", limits[shortest], shortest)
    return limits[shortest]


def _limit(folder: Path) -> int:
    if not (folder / "config.json").is_file():
        return LENGTH
    try:
        return longest_input(str(folder))
    except (CofiError, KeyError, TypeError, ValueError):  # of something else
        return LENGTH
