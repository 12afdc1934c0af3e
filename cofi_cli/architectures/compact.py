"""Load a compact model of ours, and put another head on one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.utils import logging as transformers_logging

from cofi_cli.modeling import HEADS, CofiConfig, CofiForTask

HEAD = ("model.pooler.", "model.pooler_norm.", "model.state_map.", "classifier.")
"""What the names of tensors begin with that belong to a head, not to the encoder."""


def load_compact(
    source: str, kind: str, head: str, num_labels: int, *, stored: Mapping[str, Any], **own: Any
) -> CofiForTask:
    """Load a compact model with the head that it has, or a general encoder with a new one.

    The classifier is a new one where it has another number of outputs. What is new is
    initialised from torch's global random state.

    Args:
        source: its folder.
        kind: of the head that it has.
        head: kind of head that is asked for.
        num_labels: outputs that are asked for.
        stored: what its architecture's configuration needs for a new head.
        own: what of its configuration is the task's.
    """
    transformers_logging.disable_progress_bar()
    model = HEADS[kind].from_pretrained(source)
    if kind != head:
        return _rebuilt(model, head, {"num_labels": num_labels, **stored, **own}, dropped=HEAD)
    if model.is_bare:
        return model
    if num_labels == model.config.num_labels or model.rows is not None:
        for key, value in own.items():
            setattr(model.config, key, value)
        return model
    return _rebuilt(model, head, {"num_labels": num_labels} | own, dropped=("classifier.",))


def _rebuilt(
    model: CofiForTask, head: str, changed: Mapping[str, Any], *, dropped: tuple[str, ...]
) -> CofiForTask:
    """Return a model of another head or configuration with all tensors but those ``dropped``."""
    kept = {k: v for k, v in model.state_dict().items() if not k.startswith(dropped)}
    theirs = model.config.to_dict()
    for key in ("id2label", "label2id", "num_labels"):
        theirs.pop(key, None)
    made = HEADS[head](CofiConfig(**(theirs | dict(changed))))
    made.load_state_dict(kept, strict=False)
    return made
