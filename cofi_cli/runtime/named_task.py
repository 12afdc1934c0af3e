"""A built-in task by its name, as files are scored on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cofi_cli.errors import CofiError

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task


def named_task(
    name: str | None, data: str | None = None, *, longest: int | None = None
) -> Task | None:
    """Load a built-in task with the lengths that its preset trains with, where one is named.

    Args:
        name: of the task.
        data: the folder of its files; by default the hub.
        longest: tokens that the model takes at most.

    Raises:
        CofiError: there is none of that name, or data without a name (2), or it is not
            reachable (6).
    """
    if name is None and data is not None:
        raise CofiError(f"data is '{data}', but no task is named.", hint="Add --task NAME.")
    if name is None:
        return None
    from cofi_cli.config import TaskConfig
    from cofi_cli.presets import choose_preset, preset_layer
    from cofi_cli.tasks import load_task

    preset = choose_preset(name)
    usual = preset_layer(preset).values.get("task", {}) if preset else {}
    config = TaskConfig(**{**usual, "name": name, "data": data})
    if longest is not None and longest < config.max_length:
        config = config.model_copy(update={"max_length": longest})
    return load_task(config)


def check_answers(model: CofiForTask, task: Task) -> None:
    """Refuse a task that a model does not answer, before anything is made of it.

    Raises:
        CofiError: its head is another, or its labels are another number.
    """
    from cofi_cli.modeling import HEADS

    wanted, labels = task.kind.head, int(model.config.num_labels)
    is_counted = HEADS[wanted].outputs is None
    if model.kind == wanted and (not is_counted or labels == task.num_labels):
        return
    own = f"{model.kind} head" + (f" with {labels} labels" if model.outputs is None else "")
    asked = f"{wanted} head" + (f" with {task.num_labels}" if is_counted else "")
    raise CofiError(
        f"task '{task.name}' needs a {asked}, and the model has a {own}.",
        hint="Name the task that it was trained on with --task.",
    )
