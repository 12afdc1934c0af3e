"""A task's labels in the order of a model's outputs: both may number the same names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cofi_cli.tasks.teacher.taught import label_names, renumbered, say_nothing

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


def as_numbered(task: Task, config: Mapping[str, Any], name: str) -> Task:
    """Return a task whose labels are numbered as a model's are.

    Labels of other names are taken by their numbers, and that is said, unless the names say
    nothing themselves, such as ``LABEL_0``.

    Args:
        task: what the model is scored on.
        config: of the model, for its ``id2label``.
        name: of the model, for messages.
    """
    labels = label_names(config)
    if not task.labels or len(labels) != len(task.labels):  # as many outputs are asked elsewhere
        return task
    own = renumbered(task, labels)
    if own is not None:
        return own
    if not say_nothing(labels) and not all(label.isdecimal() for label in task.labels):
        pairs = ", ".join(f"{a} is {b}" for a, b in zip(labels, task.labels, strict=True))
        logger.warning(
            "Labels of %s are taken by their numbers for task %s: %s.", name, task.name, pairs
        )
    return task
