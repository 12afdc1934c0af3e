"""What a teacher answers, and a task's labels in the order of its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.labels import find_name
from cofi_cli.tasks.kind import Fitted, Kind
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.task import Task


@dataclass(frozen=True)
class Taught:
    """What a fine-tuned teacher answers.

    Attributes:
        name: its folder or hub id.
        kind: of task.
        labels: their names, in the order of its outputs; empty for numbers.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]

    @classmethod
    def of(cls, teacher: Fitted, kind: str | None = None) -> Taught:
        """Return what a checkpoint answers, by its configuration; ``kind`` decides what is open.

        Raises:
            CofiError: it is of another kind.
        """
        # An embedder or encoder has no labels to name.
        fits = {k: own.fits(teacher) for k, own in KINDS.items() if own.has_labels}
        told = sorted((name for name in fits if fits[name]), key=lambda name: -fits[name])
        if kind is not None and kind not in told:
            raise CofiError(
                f"The teacher '{teacher.name}' is for --kind {' or '.join(told)} "
                f"({len(teacher.labels)} outputs, problem_type {teacher.problem_type}), "
                f"not for {kind}.",
                hint=f"Leave --kind out, or: fine-tune it first: cofi finetune {teacher.name} "
                "--task TASK",
            )
        own = KINDS[kind or told[0]]
        return cls(teacher.name, own, teacher.labels if own.outputs is None else ())


def in_order_of(task: Task, taught: Taught) -> Task:
    """Return a task with its labels in the order of the teacher's outputs, by their names.

    Where the teacher's names say nothing, such as ``LABEL_0``, the orders are taken to agree.

    Raises:
        CofiError: the teacher answers something else, or lacks some label.
    """
    own, theirs = task.kind, taught.kind
    if own.head != theirs.head or (own.outputs is None and theirs.outputs is not None):
        raise CofiError(
            f"The teacher '{taught.name}' answers {theirs.summary} ({theirs}); "
            f"task '{task.name}' asks for {own.summary} ({own})."
        )
    if (found := renumbered(task, taught.labels)) is not None:
        return found
    if say_nothing(taught.labels) and len(task.labels) == len(taught.labels):
        return task
    raise foreign_label(task, taught.name, taught.labels)


def renumbered(task: Task, names: tuple[str, ...]) -> Task | None:
    """Return a task with its labels numbered as ``names`` are; ``None`` where one is not there."""
    place = places(task.labels, names)
    if place is None or not place or place == list(range(len(names))):
        return None if place is None else task
    splits = {
        name: split
        if split.labels is None
        else replace(split, labels=[_moved(label, place, len(names)) for label in split.labels])
        for name, split in task.splits.items()
    }
    return replace(task, labels=names, splits=splits)


def places(labels: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Return where each label stands among names; ``None`` unless all have a place of their own."""
    found = [place for label in labels if (place := find_name(label, names)) is not None]
    return found if len(set(found)) == len(labels) else None


def label_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that a model's configuration gives its labels, in their order."""
    names = config.get("id2label") or {}
    return tuple(str(names[key]) for key in sorted(names, key=int))


def say_nothing(names: Sequence[str]) -> bool:
    """Whether label names are but their numbers: ``LABEL_0``, or ``0``."""
    return all(name.lower() in (f"label_{i}", str(i)) for i, name in enumerate(names))


def foreign_label(task: Task, teacher: str, names: Sequence[str]) -> CofiError:
    """Build the error for a task with a label that is not among the teacher's names."""
    missing = next((n for n in task.labels if find_name(n, names) is None), task.labels[-1])
    return CofiError(
        f"Label '{missing}' of task '{task.name}' is not among those of the teacher "
        f"'{teacher}': {', '.join(names)}.",
        hint="Name a teacher that was fine-tuned on these labels; if they are the same under other "
        "names, give them the task's in its config.json (id2label, label2id).",
    )


def _moved(label: Any, place: list[int], width: int) -> Any:
    """Return a row's label, class indices alone or by word, or flags, in another order."""
    if isinstance(label, int):
        return place[label] if label >= 0 else label
    if any(isinstance(item, float) for item in label):
        flags: Mapping[int, float] = dict(zip(place, label, strict=True))
        return [flags.get(i, 0.0) for i in range(width)]
    return [_moved(item, place, width) for item in label]
