"""The texts that a vocabulary is chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cofi_cli.tasks import Task


def texts_of(task: Task | None) -> list[str]:
    """Return a task's texts, without those that it is scored on."""
    if task is None:
        return []
    splits = [task.splits[name] for name in ("train", "extra") if name in task.splits]
    rows = [row for split in splits for row in split.texts]
    if task.kind.bag == "words":
        return [" ".join(words) for words in rows]
    return [text for row in rows for text in row]
