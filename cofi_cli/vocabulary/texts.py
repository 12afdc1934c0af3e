"""The texts that a vocabulary is chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

_SPLITS = ("train", "extra")


def texts_of(task: Task | None) -> list[str]:
    """Return a task's texts, without those that it is scored on."""
    if task is None:
        return []
    rows = [row for name in _SPLITS if name in task.splits for row in task.splits[name].texts]
    if task.kind.bag == "words":
        return [" ".join(words) for words in rows]
    return [text for row in rows for text in row]
