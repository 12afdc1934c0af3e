"""Any number of labels a row: how files write them.

Files write them as a list (jsonl, parquet), as names in one cell with a separator between
them, or as a column of 0 and 1 for each label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.labels import (
    check_no_list,
    class_name,
    class_names,
    is_empty,
    unknown_label,
)
from cofi_cli.tasks.files.tables import Table

SEPARATORS = ("|", ";")
"""Whichever comes first in this list and stands in any label cell of the training file."""
NONE = "none"
"""``task.separator`` of a file with one label a cell."""
ON = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}


def reads_as_multilabel(table: Table, column: str) -> bool:
    """Whether a label column holds lists."""
    return any(isinstance(value, list) for value in table.columns[column])


def multilabel_reader(
    table: Table,
    columns: Sequence[str],
    *,
    separator: str | None = None,
    names: tuple[str, ...] | None = None,
) -> tuple[tuple[str, ...], Callable[[Table], list[Any]]]:
    """Return the labels' names, and what turns a table into rows of 0.0 and 1.0, a list each.

    Args:
        table: the training file: it names the labels and tells the separator.
        columns: one column of sets, or one of nothing but 0 and 1 for each label.
        separator: as ``task.separator`` has it.
        names: the labels where they are known already; the file's must be among them.

    Raises:
        CofiError: no label anywhere, or a cell that cannot be read; names its row.
    """
    (column, *others) = columns
    if others or all(_is_flag(value) for value in table.columns[column]):
        return _indicator_reader(columns, names)
    separator = separator or find_separator(table, column)
    origin = "the teacher's labels" if names is not None else str(table.path)
    if names is None:
        sets = read_sets(table, column, separator)
        names = class_names([name for own in sets for name in own])
        if not names:
            raise CofiError(
                f"{table.path} has no label in any row (column '{column}').",
                hint="Name the label column with --label COLUMN.",
            )
    known = names

    def read(other: Table) -> list[Any]:
        rows = read_sets(other, column, separator)
        return [_flags(row, known, other.place(i), origin) for i, row in enumerate(rows)]

    return known, read


def find_separator(table: Table, column: str) -> str:
    """Tell what stands between the names of a cell: ``|``, else ``;``, else a comma.

    A comma also occurs inside names. It separates only where each part of every such cell
    stands alone in some other cell; otherwise the user has to say.

    Raises:
        CofiError: commas that may or may not separate; names the first such row.
    """
    texts = [value for value in table.columns[column] if isinstance(value, str)]
    for separator in SEPARATORS:
        if any(separator in text for text in texts):
            return separator
    alone = {text.strip() for text in texts if "," not in text}
    for row, value in enumerate(table.columns[column]):
        if isinstance(value, str) and "," in value:
            check_no_list(value, f"{table.place(row)}: the label (column '{column}')")
            part = next((p for p in _split(value, ",") if p not in alone), None)
            if part is not None:
                raise CofiError(
                    f"{table.place(row)}: is '{value}' (column '{column}') one label, or several? "
                    f"'{part}' is never alone in a cell.",
                    hint=f"Several: --set task.separator=','   One: --set task.separator={NONE}",
                )
    return "," if any("," in text for text in texts) else NONE


def read_sets(table: Table, column: str, separator: str) -> list[list[str]]:
    """Return the names of each row; an empty cell or list is a row without any.

    Raises:
        CofiError: null, an object, or an item that is no name; names its row.
    """
    values = table.columns[column]
    has_lists = reads_as_multilabel(table, column)
    rows = []
    for row, value in enumerate(values):
        place = f"{table.place(row)}: the label (column '{column}')"
        if isinstance(value, list):
            wrong = [item for item in value if is_empty(item) or isinstance(item, list | dict)]
            if wrong:
                raise CofiError(f"{place} has an item {wrong[0]!r}, which is no name.")
            rows.append([class_name(item) for item in value])
        elif value is None or isinstance(value, dict):
            what = "null" if value is None else "an object"
            raise CofiError(f"{place} is {what}.", hint="A row without any label has [].")
        elif has_lists:
            raise CofiError(
                f"{place} is '{value}', but others are lists.",
                hint=f'One label is a list too: ["{value}"].',
            )
        else:
            check_no_list(value, place)
            parts = [str(value)] if separator == NONE else _split(str(value), separator)
            rows.append([class_name(part) for part in parts if not is_empty(part)])
    return rows


def _split(cell: str, separator: str) -> list[str]:
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _flags(row: list[str], names: tuple[str, ...], place: str, origin: str) -> list[float]:
    for name in row:
        if name not in names:
            raise unknown_label(name, names, place, origin)
    own = set(row)
    return [float(name in own) for name in names]


def _indicator_reader(
    columns: Sequence[str], names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], Callable[[Table], list[Any]]]:
    known = names or tuple(columns)
    if set(known) != set(columns):
        raise CofiError(
            f"The label columns {', '.join(columns)} are not the teacher's labels: "
            f"{', '.join(known)}.",
            hint="Name a 0/1 column for each of them: --label A --label B",
        )

    def read(table: Table) -> list[Any]:
        flags = {column: _indicators(table, column) for column in columns}
        return [[flags[name][row] for name in known] for row in range(len(table))]

    return known, read


def _is_flag(value: object) -> bool:
    return not isinstance(value, list | dict) and class_name(value) in ON


def _indicators(table: Table, column: str) -> list[float]:
    found = []
    for row, value in enumerate(table.columns[column]):
        flag = None if is_empty(value) else ON.get(class_name(value))
        if flag is None:
            raise CofiError(
                f"{table.place(row)}: label column '{column}' is {value!r}; expected is 0 or 1.",
                hint="A column of label names is given alone: --label COLUMN",
            )
        found.append(flag)
    return found
