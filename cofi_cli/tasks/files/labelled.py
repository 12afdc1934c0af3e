"""A task made of the user's own files: csv, tsv, jsonl or parquet."""

from __future__ import annotations

from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.columns import choose_columns, choose_texts
from cofi_cli.tasks.files.grades import check_groups
from cofi_cli.tasks.files.label_readers import label_reader, tell_kind
from cofi_cli.tasks.files.labels import is_empty
from cofi_cli.tasks.files.tables import Table, read_table
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

_EXAMPLE = "For example: --train train.csv --validation dev.csv"


def task_from_files(config: TaskConfig) -> Task:
    """Build a task from ``train``, ``validation`` and, if given, ``test``.

    The training file decides on columns, kind and label names; the others must agree. Unless
    ``kind`` says, lists of labels make a multilabel task, labels with a fraction a regression,
    all others are class names. A test file may lack labels.

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
    tables = {split: read_rows(Path(path)) for split, path in paths.items() if path is not None}
    training = tables["train"]
    text, label = own_columns(training, config)
    kind = KINDS[config.kind] if config.kind else tell_kind(training, label)
    if kind.name == "ranking":
        check_pair(training, text)
    reader = label_reader(kind, training, label, config)
    splits: dict[str, Split] = {}
    for split, table in tables.items():
        texts = read_texts(table, text)
        is_bare = split == "test" and is_unlabelled(table, label)
        splits[split] = Split(texts, None if is_bare else reader.read(table))
    notes = [reader.note]
    if kind.name == "ranking":
        notes += [
            check_groups(split, name)
            for name, split in splits.items()
            if name != "train" and split.labels is not None
        ]
    return Task(
        name=file_name(training.path),
        kind=kind,
        labels=reader.names,
        metrics=reader.metrics,
        splits=splits,
        max_length=config.max_length,
        note=" ".join(filter(None, notes)),
    )


def own_columns(table: Table, config: TaskConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the text columns, and the label column or columns."""
    if isinstance(config.label, tuple):
        for name in config.label:
            table.column(name, hint="Name the label columns with --label COLUMN, once each.")
        return choose_texts(table, config.text, but=config.label), config.label
    text, label = choose_columns(table, config.text, config.label)
    return text, (label,)


def check_pair(table: Table, text: tuple[str, ...]) -> None:
    """Refuse to rank single texts.

    Raises:
        CofiError: with the columns there are.
    """
    if len(text) != 2:
        raise CofiError(
            f"{table.path}: a ranking needs two text columns, query and passage; "
            f"found is {', '.join(text)}. Its columns: {', '.join(table.columns)}.",
            hint="Name both: --text QUERY --text PASSAGE",
        )


def read_rows(path: Path) -> Table:
    """Read a file that must hold rows."""
    table = read_table(path)
    if not len(table):
        raise CofiError(f"{path} has no rows.", hint="Each file needs at least one labelled row.")
    return table


def read_texts(table: Table, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the texts of each row.

    Raises:
        CofiError: a column is missing, or a cell holds no text; names its row.
    """
    found: list[list[str]] = []
    for column in columns:
        values = table.column(column, hint=f"All files need the training file's column '{column}'.")
        for row, value in enumerate(values):
            is_blank = value is None or value != value  # NaN
            if is_blank or isinstance(value, list | dict):
                what = "empty" if is_blank else f"a {type(value).__name__}"
                raise CofiError(f"{table.place(row)}: the text (column '{column}') is {what}.")
        found.append([str(value) for value in values])
    rows = list(zip(*found, strict=True))
    for row, texts in enumerate(rows):
        if not any(text.strip() for text in texts):
            raise CofiError(
                f"{table.place(row)}: the text (column '{columns[0]}') is empty.",
                hint="Fill it in, or leave the row out.",
            )
    return rows


def is_unlabelled(table: Table, columns: tuple[str, ...]) -> bool:
    """Whether a label column is missing, or empty in all rows."""
    return any(
        name not in table.columns or all(is_empty(v) for v in table.columns[name])
        for name in columns
    )


def file_name(path: Path) -> str:
    """Return the file's name without extension, or its folder's where that only says *train*."""
    return path.resolve().parent.name if path.stem.lower() == "train" else path.stem
