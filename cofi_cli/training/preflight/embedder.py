"""Checks of an embedder and its teacher, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cofi_cli.architectures import (
    embedder_tokenizer,
    has_head,
    is_compact,
    load_tokenizer,
    read_config,
)
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.tasks import Task

EMBEDDERS = "sentence-transformers"
_FITTING = {
    "vocab_size": "vocabulary size",
    "hidden_size": "hidden width",
    "pooler_size": "vector width",
    "num_hidden_layers": "number of layers",
}


def given_teacher(model: str, teacher: str | None, task: Task) -> str | None:
    """Return the teacher that is there already: the one named, or for want of labels MODEL."""
    return model if teacher is None and not task.kind.has_labels else teacher


def check_embedders(model: str, teacher: str | None, task: Task) -> None:
    """Refuse models that are no embedders, and a teacher that does not fit the model.

    Raises:
        CofiError: saying what is missing, or what differs.
    """
    if task.kind.library != EMBEDDERS:
        return
    names = [model, *([teacher] if teacher else [])]
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
    own, theirs = (read_config(name, "embedding") for name in names)
    # A compact model has the teacher's widths but in its stream, where the plan says what it kept.
    keys = ["vocab_size", "pooler_size", *([] if is_compact(model) else ["hidden_size"])]
    if different := differing(theirs, own, keys):
        raise CofiError(
            f"The teacher '{names[1]}' does not fit '{names[0]}': {'; '.join(different)}.",
            hint="Leave --teacher out: an embedder is its own teacher.",
        )


def differing(teacher: CofiConfig, model: CofiConfig, keys: Iterable[str]) -> list[str]:
    """Return which sizes of a teacher are not those of the model that learns from it, in words.

    Args:
        teacher, model: their configurations.
        keys: sizes to compare; those of :data:`_FITTING`.
    """
    return [
        f"{_FITTING[key]} {getattr(teacher, key)} against the model's {getattr(model, key)}"
        for key in keys
        if getattr(teacher, key) != getattr(model, key)
    ]


def task_tokenizer(name: str, task: Task) -> Any:
    """Return a model's tokenizer, which takes no more tokens than the model has places for.

    An embedder may take less than its encoder could.
    """
    load = embedder_tokenizer if task.kind.library == EMBEDDERS else load_tokenizer
    tokenizer, model = load(name), read_config(name, task.kind.head)
    if model.position == "learned":  # old checkpoints do not say so beside their vocabulary
        tokenizer.model_max_length = min(tokenizer.model_max_length, model.longest_input)
    return tokenizer
