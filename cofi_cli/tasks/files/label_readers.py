"""How the labels of a user's file are read, once its kind is known: names, metrics, values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.grades import grade_reader
from cofi_cli.tasks.files.label_sets import multilabel_reader, reads_as_multilabel
from cofi_cli.tasks.files.labels import (
    check_classes,
    class_names,
    is_regression,
    read_labels,
    to_classes,
    to_numbers,
)
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.metrics.ranking import RANKING_METRICS


@dataclass(frozen=True)
class LabelReader:
    """Labels of one kind, read the same way from every file of a task.

    Attributes:
        names: of the labels; empty for numbers.
        metrics: of the kind, the headline first.
        read: a table's labels, as :class:`~cofi_cli.tasks.task.Split` holds them.
        note: what a reader of the scores must know.
    """

    names: tuple[str, ...]
    metrics: tuple[str, ...]
    read: Callable[[Table], list[Any]]
    note: str = ""


def tell_kind(table: Table, columns: tuple[str, ...]) -> Kind:
    """Return what labels look like: lists or several columns, numbers with a fraction, classes.

    Raises:
        CofiError: a label is empty, or some are numbers with a fraction and others are none.
    """
    if len(columns) > 1 or reads_as_multilabel(table, columns[0]):
        return KINDS["multilabel"]
    read_labels(table, columns[0])
    return KINDS["regression" if is_regression(table, columns[0]) else "classification"]


def label_reader(
    kind: Kind,
    table: Table,
    columns: tuple[str, ...],
    config: TaskConfig,
    *,
    names: tuple[str, ...] | None = None,
) -> LabelReader:
    """Return what reads labels of a kind; the training file, or a teacher, names them.

    Args:
        kind: one of :data:`READERS`.
        table: the file that decides on names, separators and scales.
        columns: its label column, or columns.
        config: of the task.
        names: the labels' names where they are known already.

    Raises:
        CofiError: a label is missing or faulty (which line), or there are too few.
    """
    if len(columns) > 1 and kind.name != "multilabel":
        raise CofiError(
            f"task.label names {len(columns)} columns: {', '.join(columns)}. "
            f"A {kind} takes one; several are for --kind multilabel.",
        )
    return READERS[kind.name](table, columns, config, names)


def _classes(
    table: Table, columns: tuple[str, ...], _: TaskConfig, names: tuple[str, ...] | None
) -> LabelReader:
    (column,) = columns
    if names is None:
        names = class_names(read_labels(table, column))
        check_classes(table, column)
        if len(names) == 1:
            raise CofiError(
                f"{table.path} has only one label, '{names[0]}' (column '{column}').",
                hint="A classification needs rows of at least two classes.",
            )
        known, origin, any_case = names, str(table.path), False
    else:
        known, origin, any_case = names, "the teacher's labels", True

    def read(other: Table) -> list[Any]:
        _check_column(other, column, table)
        read_labels(other, column)
        return to_classes(other, column, known, origin, any_case=any_case)

    return LabelReader(known, ("accuracy", "macro_f1"), read)


def _numbers(
    table: Table, columns: tuple[str, ...], _: TaskConfig, names: tuple[str, ...] | None
) -> LabelReader:
    (column,) = columns
    read_labels(table, column)

    def read(other: Table) -> list[Any]:
        _check_column(other, column, table)
        read_labels(other, column)
        return to_numbers(other, column, because=f"the labels of {table.path} are numbers")

    return LabelReader((), ("pearson", "spearman"), read)


def _sets(
    table: Table, columns: tuple[str, ...], config: TaskConfig, names: tuple[str, ...] | None
) -> LabelReader:
    found, read_sets = multilabel_reader(table, columns, separator=config.separator, names=names)

    def read(other: Table) -> list[Any]:
        for column in columns:
            _check_column(other, column, table)
        return read_sets(other)

    return LabelReader(found, ("micro_f1", "macro_f1", "subset_accuracy"), read)


def _grades(
    table: Table, columns: tuple[str, ...], _: TaskConfig, names: tuple[str, ...] | None
) -> LabelReader:
    (column,) = columns
    read_grades, note = grade_reader(table, column)

    def read(other: Table) -> list[Any]:
        _check_column(other, column, table)
        return read_grades(other)

    return LabelReader((), RANKING_METRICS, read, note)


def _check_column(table: Table, column: str, training: Table) -> None:
    table.column(column, hint=f"The label column is '{column}' in {training.path}.")


READERS: Mapping[str, Callable[..., LabelReader]] = {
    "classification": _classes,
    "regression": _numbers,
    "multilabel": _sets,
    "ranking": _grades,
}
"""Kinds whose files are rows of texts with labels."""
