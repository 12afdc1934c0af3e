"""Tasks without labels: texts to learn from a teacher on; what they are called it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cofi_cli.errors import CofiError
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.agreement import AGREEMENT
from cofi_cli.tasks.teacher.hold_out import hold_out
from cofi_cli.tasks.teacher.taught import Taught, in_order_of


def no_labels(task: Task) -> CofiError:
    """Build the error for training rows that neither labels nor a teacher explain."""
    return CofiError(
        f"The training rows of task '{task.name}' have no labels.",
        hint="Give labelled rows, or a fine-tuned teacher to learn from: "
        "--teacher DIR --unlabelled",
    )


def forget_labels(task: Task, taught: Taught) -> Task:
    """Return a built-in task without the labels of its training rows.

    Its dev rows are scored with its own metrics where they are labelled, else by agreement; where
    there are none, rows are held out. Label names are the teacher's, in the teacher's order.
    """
    task = in_order_of(task, taught)
    splits = dict(task.splits) | {"train": Split(task.splits["train"].texts, None)}
    origin = "the validation rows"
    if "validation" not in splits:
        kept, held = hold_out(splits["train"].texts, task.kind, Path(task.name))
        splits |= {"train": Split(kept, None), "validation": Split(held, None)}
        origin = "held-out training rows"
    task = replace(task, splits=splits)
    if task.can_score("validation"):
        return learned(task, taught.name)
    return agreeing(task, taught.name, origin)


def learned(task: Task, teacher: str) -> Task:
    """Return a task that says that its training rows are answered by a teacher."""
    count = len(task.splits["train"])
    note = f"Learned from the answers of {_short(teacher)} on {count:,} texts; no label was read."
    return replace(task, note=" ".join(filter(None, [note, task.note])))


def agreeing(task: Task, teacher: str | None, origin: str) -> Task:
    """Return a task without labels that is scored by agreement, and says what that is.

    Args:
        task: its labels are left out.
        teacher: its name; ``None`` = the model itself.
        origin: of the validation rows.
    """
    splits = {name: replace(split, labels=None) for name, split in task.splits.items()}
    count, name = len(splits["validation"]), f" {_short(teacher)}" if teacher else ""
    note = (
        f"Agreement is not accuracy: no label was read. It is {task.kind.agreement}, in points, on "
        f"{count:,} {origin.removeprefix('the ')}; 100 is the teacher{name} itself, right or wrong."
    )
    note = " ".join(filter(None, [note, task.note]))
    return replace(task, metrics=(AGREEMENT,), splits=splits, note=note)


def _short(teacher: str) -> str:
    is_folder = teacher.count("/") > 1 or teacher.startswith(("/", "."))
    return f"'{Path(teacher).name if is_folder else teacher}'"
