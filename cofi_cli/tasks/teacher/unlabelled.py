"""Tasks without labels: texts to learn from a teacher on; what they are called it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.columns import LABELS
from cofi_cli.tasks.files.grades import check_groups
from cofi_cli.tasks.files.label_readers import READERS, LabelReader, label_reader
from cofi_cli.tasks.files.labelled import (
    check_pair,
    file_name,
    is_unlabelled,
    own_columns,
    read_rows,
)
from cofi_cli.tasks.files.labelled import read_texts as texts_of
from cofi_cli.tasks.files.labels import class_name
from cofi_cli.tasks.files.plain_text import may_be_labelled, read_text_rows
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.agreement import AGREEMENT
from cofi_cli.tasks.teacher.hold_out import hold_out
from cofi_cli.tasks.teacher.taught import Taught, in_order_of


def no_teacher() -> CofiError:
    """Build the error for texts without anybody to learn from."""
    return CofiError(
        "--unlabelled needs a teacher: without labels there is nothing else to learn from.",
        hint="Name a fine-tuned model with --teacher DIR, or fine-tune one on labelled rows: "
        "cofi finetune MODEL --train FILE --validation FILE",
    )


def no_labels(task: Task) -> CofiError:
    """Build the error for training rows that neither labels nor a teacher explain."""
    return CofiError(
        f"The training rows of task '{task.name}' have no labels.",
        hint="Give labelled rows, or a fine-tuned teacher to learn from: "
        "--teacher DIR --unlabelled",
    )


def task_from_texts(config: TaskConfig, taught: Taught) -> Task:
    """Build a task from ``train``, of which the text columns alone are read.

    Scores come from ``validation`` where that is labelled. Where it is not, or is not given (rows
    are held out then), they are agreement with the teacher.

    Raises:
        CofiError: a file is not there (exit code 6), faulty (which line), or too short.
    """
    assert config.train is not None
    if config.data is not None:
        raise CofiError(
            "--data DIR goes with --task, not with --train.",
            hint="For example: --train texts.txt --unlabelled --teacher DIR",
        )
    path, kind = Path(config.train), taught.kind
    splits = {"train": Split(read_text_rows(path, kind, config), None)}
    labelled = _labelled(config, taught)
    if labelled is not None:
        others = {name: split for name, split in labelled.splits.items() if name != "train"}
        return _learned(replace(labelled, name=file_name(path), splits=splits | others), taught)
    origin = "the validation rows"
    if config.validation is None:
        kept, held = hold_out(splits["train"].texts, kind, path)
        splits = {"train": Split(kept, None), "validation": Split(held, None)}
        origin = f"rows held out from {path.name}"
    for name, other in (("validation", config.validation), ("test", config.test)):
        if other is not None:
            splits[name] = Split(read_text_rows(Path(other), kind, config), None)
    task = Task(
        file_name(path),
        kind,
        taught.labels,
        (AGREEMENT,),
        splits,
        config.max_length,
        encoding=kind.options(config),
    )
    return _agreeing(task, taught, origin)


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
    task = replace(task, splits=splits, fingerprint={})
    if splits["validation"].labels is not None:
        return _learned(task, taught)
    bare = {name: Split(split.texts, None) for name, split in splits.items()}
    return _agreeing(replace(task, metrics=(AGREEMENT,), splits=bare), taught, origin)


def _learned(task: Task, taught: Taught) -> Task:
    count = len(task.splits["train"])
    note = f"Learned from the answers of {_short(taught)} on {count:,} texts; no label was read."
    return replace(task, note=" ".join(filter(None, [note, task.note])), fingerprint={})


def _agreeing(task: Task, taught: Taught, origin: str) -> Task:
    count = len(task.splits["validation"])
    note = (
        f"Agreement is not accuracy: no label was read. It is {task.kind.agreement}, in points, on "
        f"{count:,} {origin.removeprefix('the ')}; 100 is the teacher {_short(taught)} itself, "
        "right or wrong."
    )
    return replace(task, note=" ".join(filter(None, [note, task.note])), fingerprint={})


def _short(taught: Taught) -> str:
    is_folder = taught.name.count("/") > 1 or taught.name.startswith(("/", "."))
    return f"'{Path(taught.name).name if is_folder else taught.name}'"


def _labelled(config: TaskConfig, taught: Taught) -> Task | None:
    """Return a task whose splits but ``train`` are labelled, if the validation file is."""
    if config.validation is None:
        return None
    path, kind = Path(config.validation), taught.kind
    if not may_be_labelled(path, kind, config):
        return None
    if kind.name not in READERS:
        return _by_loader(config, taught)
    table = read_rows(path)
    label = _label_columns(table, config)
    if not label or is_unlabelled(table, label):
        return None
    text, label = own_columns(table, config.model_copy(update={"label": _named(label)}))
    if kind.name == "ranking":
        check_pair(table, text)
    reader = label_reader(kind, table, label, config, names=_by_index(table, label, taught))
    splits = {"train": Split([], None), "validation": _split(table, text, label, reader)}
    if config.test is not None:
        splits["test"] = _split(read_rows(Path(config.test)), text, label, reader)
    notes = [reader.note]
    if kind.name == "ranking":
        notes.append(check_groups(splits["validation"], "validation"))
    note = " ".join(filter(None, notes))
    return Task(
        path.stem, kind, taught.labels, reader.metrics, splits, config.max_length, note=note
    )


def _split(
    table: Table, text: tuple[str, ...], label: tuple[str, ...], reader: LabelReader
) -> Split:
    bare = is_unlabelled(table, label)
    return Split(texts_of(table, text), None if bare else reader.read(table))


def _label_columns(table: Table, config: TaskConfig) -> tuple[str, ...]:
    """Return the label columns that are named, or the one that looks like it, or none."""
    if config.label is not None:
        named = (config.label,) if isinstance(config.label, str) else config.label
        for name in named:
            table.column(name, hint="Leave --label out for a validation file without labels.")
        return named
    guess = (name for name in table.columns if name.lower() in LABELS and name not in config.text)
    return tuple(guess)[:1]


def _named(label: tuple[str, ...]) -> str | tuple[str, ...]:
    return label[0] if len(label) == 1 else label


def _by_index(table: Table, label: tuple[str, ...], taught: Taught) -> tuple[str, ...] | None:
    """Return the teacher's label names, or their indices where a file counts its classes."""
    if taught.kind.name not in ("classification", "multilabel"):
        return None
    indices = tuple(map(str, range(len(taught.labels))))
    values = {class_name(value) for value in table.columns[label[0]]}
    is_counted = taught.kind.name == "classification" and values <= set(indices)
    return indices if is_counted and not values <= set(taught.labels) else taught.labels


def _by_loader(config: TaskConfig, taught: Taught) -> Task | None:
    """Let the kind's own reader read the validation file, for kinds that are no rows of texts."""
    from cofi_cli.tasks.files.own import LOADERS

    assert config.validation is not None
    path, kind = Path(config.validation), taught.kind
    if kind.name not in LOADERS:
        raise CofiError(
            f"{path}: labelled rows of --kind {kind} cannot be read.",
            hint="Leave --validation out: rows are held out and scored by agreement.",
        )
    own = {"train": config.validation, "kind": kind.name, "unlabelled": False}
    return in_order_of(LOADERS[kind.name](config.model_copy(update=own)), taught)
