"""What an embedder and its teacher have to be: checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures import (
    embedder_tokenizer,
    has_head,
    load_config_dict,
    load_tokenizer,
    read_config,
    resolve,
)
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.tasks import Task

EMBEDDERS = "sentence-transformers"
_FITTING = {
    "hidden_size": "hidden width",
    "pooler_size": "embedding width",
    "vocab_size": "vocabulary size",
}
"""What a teacher must share with the model that learns its layers, embeddings and token ids."""


def given_teacher(config: RunConfig, task: Task) -> str | None:
    """Return the teacher that is there already: the one named, or an embedder itself."""
    if config.teacher.path is None and not task.kind.has_labels:
        return config.model
    return config.teacher.path


def check_embedders(config: RunConfig, task: Task) -> None:
    """Refuse models that are no embedders, and a teacher that does not fit the model.

    Raises:
        CofiError: saying what is missing, or what differs.
    """
    if task.kind.library != EMBEDDERS:
        return
    names = [config.model, *([config.teacher.path] if config.teacher.path else [])]
    for name in names:
        if not has_head(name, num_labels=1, head="embedding"):
            raise CofiError(
                f"'{name}' is not a sentence-transformers model: it has no modules.json, "
                "which says how token states become an embedding.",
                hint="To pool a bare encoder by the mean, make it one: SentenceTransformer("
                f"'{name}').save_pretrained('DIR'), and name DIR.",
            )
    if len(names) < 2:
        return
    model, teacher = (read_config(name, "embedding") for name in names)
    theirs = load_config_dict(resolve(config.model))
    # A compact model has the teacher's widths but in its stream, where the plan says what it kept.
    keys = [key for key in _FITTING if key != "hidden_size" or not _is_compact(theirs)]
    differing = [
        f"{_FITTING[key]} {getattr(teacher, key)} against the model's {getattr(model, key)}"
        for key in keys
        if getattr(teacher, key) != getattr(model, key)
    ]
    if differing:
        raise CofiError(
            f"The teacher '{names[1]}' does not fit '{names[0]}': {'; '.join(differing)}.",
            hint="Leave --teacher out: an embedder is its own teacher.",
        )


def _is_compact(config: Mapping[str, Any]) -> bool:
    return bool(config["model_type"] == CofiConfig.model_type)


def task_tokenizer(config: RunConfig, task: Task) -> Any:
    """Return the model's tokenizer, which takes no more tokens than the model has places for.

    An embedder may take less than its encoder could.
    """
    load = embedder_tokenizer if task.kind.library == EMBEDDERS else load_tokenizer
    tokenizer, model = load(config.model), read_config(config.model, task.kind.head)
    if model.position == "learned":  # old checkpoints do not say so beside their vocabulary
        tokenizer.model_max_length = min(tokenizer.model_max_length, model.longest_input)
    return tokenizer
