"""Load a task by its configuration: a built-in one, or the user's own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError, unknown
from cofi_cli.tasks.builtin.demo import demo_task
from cofi_cli.tasks.builtin.glue import GLUE, STSB, glue_task, stsb_embedding
from cofi_cli.tasks.builtin.squad import SQUAD, squad_task
from cofi_cli.tasks.builtin.tokens import TOKEN_TASKS, load_builtin
from cofi_cli.tasks.files.file import Ask, File
from cofi_cli.tasks.files.own import task_from_own_files
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.taught import Taught
from cofi_cli.tasks.teacher.unlabelled import forget_labels

EXTRA = "extra"
"""Name of the split of texts that the teacher alone answers for."""


def task_names() -> list[str]:
    """Return the names that ``--task`` knows."""
    return list(BUILTIN)


def asks_teacher(config: TaskConfig) -> bool:
    """Whether a teacher has to say what the labels are; an embedder has none to leave unread."""
    return config.unlabelled and (config.kind is None or KINDS[config.kind].has_labels)


def check_named(config: TaskConfig, *, has_teacher: bool) -> None:
    """Refuse a missing or unknown task, which is seen before anything is read.

    Raises:
        CofiError: with the choices; or labels are left to a teacher, and there is none.
    """
    if config.name is None and config.train is None:
        raise CofiError(
            f"No task given. Choices: {', '.join(task_names())}.",
            hint="--task NAME, or your own files: --train FILE --validation FILE.",
        )
    if config.name is not None and config.name not in BUILTIN:
        hint = "For your own files: --train, --validation."
        raise unknown("task", config.name, task_names(), hint=hint)
    if asks_teacher(config) and not has_teacher:
        raise CofiError(
            "--unlabelled needs a teacher: without labels there is nothing else to learn from.",
            hint="Name a fine-tuned model with --teacher DIR, or fine-tune one on labelled rows: "
            "cofi finetune MODEL --train FILE --validation FILE",
        )


def load_task(config: TaskConfig, taught: Taught | None = None) -> Task:
    """Load the task that a configuration names, or the user's own files.

    Args:
        config: what to load.
        taught: what the teacher answers, where ``config.unlabelled`` leaves that to it; an
            embedder has no labels to leave unread.

    Raises:
        CofiError: an unknown name, options that exclude each other, or a fault in the data;
            exit code 6 if the data cannot be reached.
    """
    check_named(config, has_teacher=taught is not None)
    name, files = config.name, (config.train, config.validation, config.test)
    if name is None:
        return task_from_own_files(config, taught)
    if any(files):
        raise CofiError(
            f"--task {name} and --train, --validation or --test exclude each other.",
            hint=f"Leave out --task for your own files; for {name} in local files use --data DIR.",
        )
    given = {"--text": config.text, "--label": config.label}
    unread = [flag for flag, value in given.items() if value]
    if unread and name not in TOKEN_TASKS:
        raise CofiError(
            f"{' and '.join(unread)} would be ignored: task {name} has columns of its own.",
            hint="They are for your own files: --train and --validation.",
        )
    task = BUILTIN[name](config)
    if taught is None and config.kind not in (None, task.kind.name):
        raise CofiError(
            f"--kind {config.kind} would be ignored: task {name} is of kind {task.kind}.",
            hint="Leave --kind out; it is for your own files: --train FILE --validation FILE.",
        )
    return task if taught is None else forget_labels(task, taught)


def with_extra(task: Task, config: TaskConfig) -> Task:
    """Return a task with the texts of ``extra`` as a split of their own, without labels.

    Raises:
        CofiError: the file is not there (exit code 6), faulty, or has other texts a row.
    """
    if config.extra is None:
        return task
    extra = task.kind.read(File(config.extra), Ask(config, labels=())).split
    wanted, found = (len(s.texts[0]) for s in (task.splits["train"], extra))
    if task.kind.bag != "words" and wanted != found:
        raise CofiError(
            f"{config.extra} has {found} texts a row; the training rows of task '{task.name}' have "
            f"{wanted}.",
            hint="A row of a .txt is one text; of a table --text COLUMN names the columns.",
        )
    return replace(task, splits={**task.splits, EXTRA: extra})


def _demo(config: TaskConfig) -> Task:
    if config.data:
        raise CofiError("The task 'demo' takes no --data: it reads this Python's own library.")
    return demo_task(max_length=config.max_length)


BUILTIN: dict[str, Callable[[TaskConfig], Task]] = {
    **dict.fromkeys(GLUE, glue_task),
    **dict.fromkeys(SQUAD, squad_task),
    **dict.fromkeys(TOKEN_TASKS, load_builtin),
    STSB: stsb_embedding,
    "demo": _demo,
}
"""Built-in task -> what loads it, from ``data`` or the hub."""
