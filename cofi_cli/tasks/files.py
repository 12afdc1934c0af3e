"""A task made of the user's own files: csv, tsv, jsonl or parquet."""

from __future__ import annotations

from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.columns import choose_columns
from cofi_cli.tasks.labels import (
    class_names,
    is_empty,
    is_regression,
    read_labels,
    to_classes,
    to_numbers,
)
from cofi_cli.tasks.tables import Table, read_table
from cofi_cli.tasks.task import Split, Task

_EXAMPLE = "For example: --train train.csv --validation dev.csv"


def task_from_files(config: TaskConfig) -> Task:
    """Build a task from ``train``, ``validation`` and, if given, ``test``.

    The training file decides on columns, kind and label names; the others must agree. Unless
    ``kind`` says, labels with a fraction make a regression, all others are class names. A test
    file may lack labels.

    Raises:
        CofiError: a file is not given, not there (exit code 6), empty or faulty (which line).
    """
    assert config.train is not None
    if config.validation is None:
        raise CofiError("--train needs --validation FILE as well.", hint=_EXAMPLE)
    if config.data is not None:
        raise CofiError("--data DIR is for GLUE tasks; it does not go with --train.", hint=_EXAMPLE)
    paths = {
        "train": config.train,
        "validation": config.validation,
        "test": config.test,
    }
    tables = {split: _read(Path(path)) for split, path in paths.items() if path is not None}
    training = tables["train"]
    text, label = choose_columns(training, config.text, config.label)
    values = read_labels(training, label)
    regression = is_regression(training, label)
    if config.kind is not None:
        regression = config.kind == "regression"
    names = () if regression else class_names(values)
    if len(names) == 1:
        raise CofiError(
            f"{training.path} has only one label, '{names[0]}' (column '{label}').",
            hint="A classification needs rows of at least two classes.",
        )
    splits: dict[str, Split] = {}
    for split, table in tables.items():
        texts = _texts(table, text)
        if split == "test" and _unlabelled(table, label):
            splits[split] = Split(texts, None)
            continue
        table.column(label, hint=f"The label column is '{label}' in {training.path}.")
        read_labels(table, label)
        if regression:
            because = f"the labels of {training.path} are numbers"
            splits[split] = Split(texts, to_numbers(table, label, because=because))
        else:
            splits[split] = Split(texts, to_classes(table, label, names, training))
    return Task(
        name=_name(training.path),
        kind="regression" if regression else "classification",
        labels=names,
        metrics=("pearson", "spearman") if regression else ("accuracy", "macro_f1"),
        splits=splits,
        max_length=config.max_length,
    )


def _read(path: Path) -> Table:
    table = read_table(path)
    if not len(table):
        raise CofiError(f"{path} has no rows.", hint="Each file needs at least one labelled row.")
    return table


def _texts(table: Table, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[list[str]] = []
    for column in columns:
        values = table.column(column, hint=f"All files need the training file's column '{column}'.")
        for row, value in enumerate(values):
            if value is None or isinstance(value, list | dict):
                what = "empty" if value is None else f"a {type(value).__name__}"
                raise CofiError(f"{table.place(row)}: the text (column '{column}') is {what}.")
        found.append([str(value) for value in values])
    return list(zip(*found, strict=True))


def _unlabelled(table: Table, label: str) -> bool:
    return label not in table.columns or all(is_empty(v) for v in table.columns[label])


def _name(path: Path) -> str:
    """Return the file's name without extension, or its folder's where that only says *train*."""
    return path.resolve().parent.name if path.stem.lower() == "train" else path.stem
