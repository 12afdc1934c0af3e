"""What a fine-tuned checkpoint answers: its kind of task and label names, by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.checkpoints import adapter_for, head_kind
from cofi_cli.architectures.cross_encoder import activation_of
from cofi_cli.architectures.hub import load_config_dict, resolve
from cofi_cli.config import Kind
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig

_MULTILABEL = "multi_label_classification"


def read_taught(name: str, kind: Kind | None = None) -> tuple[Kind, tuple[str, ...]]:
    """Return a teacher's kind of task, and its label names in the order of its outputs.

    One output is a number, of a cross-encoder a ranking; what a configuration leaves open,
    ``kind`` decides.

    Raises:
        CofiError: it has no task head, or answers something else than ``kind``.
    """
    config = load_config_dict(resolve(name))
    if config["model_type"] != CofiConfig.model_type:
        adapter_for(name, config)
    head = head_kind(config)
    fine_tune = f"Fine-tune it first: cofi finetune {name} --task TASK"
    if head is None or head == "embedding":
        raise CofiError(
            f"The teacher '{name}' has no task head, so it has nothing to teach "
            f"(architectures: {', '.join(config.get('architectures') or ['none'])}).",
            hint=fine_tune,
        )
    labels = _labels(config)
    told = _kinds(name, config, head, len(labels))
    if kind is not None and kind not in told:
        raise CofiError(
            f"The teacher '{name}' is for --kind {' or '.join(told)} "
            f"({len(labels)} outputs, problem_type {config.get('problem_type')}), not for {kind}.",
            hint=f"Leave --kind out, or: {fine_tune[0].lower()}{fine_tune[1:]}",
        )
    found = kind or told[0]
    return found, () if found in ("regression", "ranking", "span") else labels


def _kinds(name: str, config: Mapping[str, Any], head: str, width: int) -> tuple[Kind, ...]:
    """Return the kinds that a head can be for, the likeliest first."""
    if head == "token":
        return ("tokens",)
    if head == "span":
        return ("span",)
    problem = config.get("problem_type")
    if problem == _MULTILABEL:
        return ("multilabel",)
    if width == 1:
        is_ranker = activation_of(name) is not None
        return ("ranking", "regression") if is_ranker else ("regression", "ranking")
    return ("classification",) if problem else ("classification", "multilabel")


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    if names:
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels", 2))))
