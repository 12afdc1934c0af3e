"""What a fine-tuned checkpoint answers, by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cofi_cli.architectures.checkpoints import adapter_for, head_kind
from cofi_cli.architectures.cross_encoder import activation_of
from cofi_cli.architectures.hub import load_config_dict, resolve
from cofi_cli.errors import CofiError, reading
from cofi_cli.modeling import HEADS, CofiConfig


@dataclass(frozen=True)
class Answers:
    """What a checkpoint's head answers.

    Attributes:
        name: the checkpoint's folder or hub id.
        head: kind of head, one of :data:`cofi_cli.modeling.HEADS`.
        labels: names of its outputs, in their order.
        problem_type: as transformers' configurations have it.
        is_ranker: whether sentence-transformers calls it a cross-encoder.
    """

    name: str
    head: str
    labels: tuple[str, ...]
    problem_type: str | None
    is_ranker: bool


def read_answers(name: str) -> Answers:
    """Return what a teacher answers.

    Raises:
        CofiError: it has no task head.
    """
    with reading(f"config.json of '{name}'"):
        config = load_config_dict(resolve(name))
        if config["model_type"] != CofiConfig.model_type:
            adapter_for(name, config)
        head = head_kind(config)
        if head is None or HEADS[head].is_bare:
            raise CofiError(
                f"The teacher '{name}' has no task head, so it has nothing to teach "
                f"(architectures: {', '.join(config.get('architectures') or ['none'])}).",
                hint=f"Fine-tune it first: cofi finetune {name} --task TASK",
            )
        is_ranker = activation_of(name) is not None
        return Answers(name, head, _labels(config), config.get("problem_type"), is_ranker)


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    if names:
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels", 2))))
