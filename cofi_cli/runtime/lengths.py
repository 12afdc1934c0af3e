"""How many tokens models take, and the length that is timed by default."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.errors import CofiError
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.timing import Case

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

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
    logger.warning("The length is %d tokens, since %s takes no more.", limits[shortest], shortest)
    return int(limits[shortest])


def check_lengths(models: Sequence[Model], cases: Sequence[Case]) -> None:
    """Refuse lengths that some model has no positions for.

    Raises:
        CofiError: naming the model and what it takes.
    """
    asked = max((case.seq_len for case in cases if not isinstance(case.seq_len, str)), default=0)
    for model in models:
        most = _limit(model.tokenizer)
        if asked > most:
            raise CofiError(
                f"seq_len is {asked}, and {model.name} takes at most {most:.0f} tokens.",
                hint=f"Use --seq-len {most:.0f} or less.",
            )


def cut_to_fit(task: Task, models: Sequence[Model]) -> Task:
    """Return the task with rows cut at what all models and tokenizers take, and say so if less."""
    folders = {model.tokenizer for model in models}
    most = min(min(_limit(folder), tokenizer_limit(str(folder))) for folder in folders)
    if task.max_length <= most:
        return task
    logger.warning(
        "Rows of %s are cut at %.0f tokens, since a model takes no more.", task.name, most
    )
    return replace(task, max_length=int(most))


def tokenizer_limit(name: str) -> float:
    """Return how many tokens the tokenizer of a checkpoint gives at most."""
    from cofi_cli.architectures.hub import load_json

    said = load_json(name, "tokenizer_config.json")
    most = said.get("model_max_length") if isinstance(said, dict) else None
    return float(most) if isinstance(most, int | float) else math.inf


def _limit(folder: Path) -> float:
    """Return the most tokens that files of a folder take, where its config.json says that."""
    if not (folder / "config.json").is_file():
        return math.inf
    try:
        return longest_input(str(folder))
    except (CofiError, KeyError, TypeError, ValueError):  # of something else
        return math.inf
