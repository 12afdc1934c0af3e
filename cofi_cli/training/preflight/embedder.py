"""What an embedder and its teacher have to be: checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
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
    "vocab_size": "vocabulary size",
    "hidden_size": "hidden width",
    "pooler_size": "embedding width",
    "num_hidden_layers": "number of layers",
}


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
    # A compact model has the teacher's widths but in its stream, where the plan says what it kept.
    is_compact = load_config_dict(resolve(names[0]))["model_type"] == CofiConfig.model_type
    keys = ["vocab_size", "pooler_size", *([] if is_compact else ["hidden_size"])]
    if different := differing(teacher, model, keys):
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


def task_tokenizer(config: RunConfig, task: Task) -> Any:
    """Return the model's tokenizer, which takes no more tokens than the model has places for.

    An embedder may take less than its encoder could.
    """
    load = embedder_tokenizer if task.kind.library == EMBEDDERS else load_tokenizer
    tokenizer, model = load(config.model), read_config(config.model, task.kind.head)
    if model.position == "learned":  # old checkpoints do not say so beside their vocabulary
        tokenizer.model_max_length = min(tokenizer.model_max_length, model.longest_input)
    return tokenizer
