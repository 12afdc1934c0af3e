"""A task made of the user's own files, with labels or without."""

from __future__ import annotations

from dataclasses import replace

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.columns import label_columns, telling_columns, text_columns
from cofi_cli.tasks.files.file import Ask, File
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.hold_out import hold_out
from cofi_cli.tasks.teacher.taught import Taught, in_order_of
from cofi_cli.tasks.teacher.unlabelled import agreeing, learned

_EXAMPLE = "For example: --train train.csv --validation dev.csv"


def task_from_own_files(config: TaskConfig, taught: Taught | None = None) -> Task:
    """Build a task from ``train``, ``validation`` and, if given, ``test``.

    The training file decides on columns and label names; the others must agree. A test file may
    lack labels. Where a teacher answers, of the training file the texts alone are read, and
    scores come from ``validation`` where that is labelled; where it is not, or is not given (rows
    are held out then), they are agreement with the teacher.

    Args:
        config: names the files.
        taught: what the teacher answers, where it takes the place of labels.

    Raises:
        CofiError: a file is not given, not there (exit code 6), empty or faulty (which line).
    """
    assert config.train is not None
    if config.data is not None:
        raise CofiError(
            "--data DIR is for built-in tasks; it does not go with --train.", hint=_EXAMPLE
        )
    train = File(config.train)
    learns = taught is None and (config.kind is None or KINDS[config.kind].has_labels)
    if config.validation is None and (learns or (config.test and taught is None)):
        given = "--train" if learns else "--test"
        raise CofiError(f"{given} needs --validation FILE as well.", hint=_EXAMPLE)
    kind = taught.kind if taught else told_kind(train, config)
    first = kind.read(train, Ask(config, labels=None if learns else ()))
    splits, origin = {"train": first.split}, "the validation rows"
    lead = first if learns else None
    if config.validation is None:
        origin = f"rows held out from {train.path.name}"
        kept, held = hold_out(first.split.texts, kind, train.path)
        splits = {"train": Split(kept, None), "validation": Split(held, None)}
    else:
        names = (taught.labels or None) if taught else None
        ask = Ask(config, labels=names, like=lead, may_lack=taught is not None)
        file = File(config.validation)
        own = kind.read(file, ask)
        splits["validation"], lead = own.split, lead or own
        if own.text and len(file.table) == len(own.split):
            columns = telling_columns(file.table, but=(*own.text, *own.label))
            splits["validation"] = replace(own.split, columns=columns)
    is_scored = splits["validation"].labels is not None
    if config.test is not None:
        ask = Ask(config, like=lead, may_lack=True) if is_scored else Ask(config, labels=())
        splits["test"] = kind.read(File(config.test), ask).split

    metrics, labels, note = kind.metrics, taught.labels if taught else (), ""
    if is_scored and lead is not None:
        metrics, notes = kind.measured(splits)
        labels, note = lead.labels.names, " ".join(filter(None, [lead.labels.note, *notes]))
    name, options = train.path.stem, kind.options(config)
    if name.lower() == "train":
        name = train.path.resolve().parent.name
    task = Task(name, kind, labels, metrics, splits, config.max_length, note, options)
    if not is_scored:
        return agreeing(task, taught.name if taught else None, origin)
    return learned(in_order_of(task, taught), taught.name) if taught else task


def told_kind(file: File, config: TaskConfig) -> Kind:
    """Return the kind that is named, or what a file's extension or its labels show.

    Lists of labels, or several columns, make a multilabel task, labels with a fraction a
    regression; all others are names of classes.
    """
    if config.kind is not None:
        return KINDS[config.kind]
    told = next((own for own in KINDS.values() if file.suffix in own.suffixes), None)
    if told is not None:
        return told
    table = file.table
    label = label_columns(table, Ask(config), text_columns(table, config))
    if len(label) > 1:
        return KINDS["multilabel"]
    shown = (own for own in KINDS.values() if own.shown_by(table.columns[label[0]]))
    return next(shown, KINDS["classification"])
