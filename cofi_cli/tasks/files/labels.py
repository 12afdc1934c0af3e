"""Labels of a user's file: names to class indices, or numbers for a regression."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.tables import Table

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST = 3.4e38
"""What training computes in holds no larger number."""
_WHOLE = re.compile(r"[+-]?\d+")
_WHOLE_OR_ZEROS = re.compile(r"([+-]?)(\d+)(?:\.0*)?")


def filled(table: Table, column: str) -> list[object]:
    """Return a label column's values.

    Raises:
        CofiError: one is empty or NaN, or a list; names its row.
    """
    values = table.columns[column]
    for row, value in enumerate(values):
        if is_empty(value):
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is empty.",
                hint="Fill it in, or leave the row out. Rows that may have no label are read with "
                "--kind multilabel.",
            )
        if isinstance(value, list | dict):
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is a {type(value).__name__}, "
                "but one class or number is needed."
            )
    return values


def is_empty(value: object) -> bool:
    """Whether a cell holds nothing: null, NaN, or only spaces."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and math.isnan(value))


def has_fraction(value: object) -> bool:
    """Whether a label is a number with a fraction; ``1.0`` has none."""
    text = str(value).strip()
    return _NUMBER.fullmatch(text) is not None and not float(text).is_integer()


def to_numbers(table: Table, column: str) -> list[float]:
    """Return a label column as numbers.

    Raises:
        CofiError: one is not a finite number; names its row.
    """
    numbers: list[float] = []
    for row, value in enumerate(filled(table, column)):
        text = str(value).strip()
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not abs(number) <= _LARGEST:
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is '{text}', "
                "which is not a finite number.",
                hint="All labels need to be numbers, such as 1.5. Names of classes are read with "
                "--kind classification.",
            )
        numbers.append(number)
    return numbers


def class_name(value: object) -> str:
    """Return the name of a class: the same for ``1``, ``1.0``, ``+1``, ``"1"`` and ``"1."``.

    And for true and false, which dataframes write as ``True`` and ``False``. Zeros in front stay.
    """
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if (whole := _WHOLE_OR_ZEROS.fullmatch(text)) is None:
        return text
    sign, digits = whole[1].replace("+", ""), whole[2]
    return digits if digits == "0" else sign + digits


def class_names(values: Iterable[object]) -> tuple[str, ...]:
    """Return the sorted names of the classes, as numbers if all are whole numbers."""
    names = {class_name(value) for value in values}
    if all(_WHOLE.fullmatch(name) for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def to_classes(
    table: Table, column: str, names: tuple[str, ...], origin: str, *, any_case: bool = False
) -> list[int]:
    """Return a label column as class indices.

    Args:
        table: the file.
        column: its label column.
        names: of the classes.
        origin: where these come from, such as the training file.
        any_case: whether capitals do not matter.

    Raises:
        CofiError: a label that is not among the names; names its row.
    """
    own = [class_name(value) for value in filled(table, column)]
    index = {name: i for i, name in enumerate(names)}
    if any_case:
        index = {name: i for name in set(own) if (i := find_name(name, names)) is not None}
    for row, name in enumerate(own):
        if name not in index:
            raise unknown_label(name, names, table.place(row), origin)
    return [index[name] for name in own]


def find_name(name: str, names: Sequence[str]) -> int | None:
    """Return a name's place, capitals aside where that leaves one; ``None`` if it has none."""
    if name in names:
        return names.index(name)
    alike = [place for place, other in enumerate(names) if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def unknown_label(name: str, names: tuple[str, ...], place: str, origin: str) -> CofiError:
    """Build the error for a label that is not among those of ``origin``."""
    some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return CofiError(
        f"{place}: label '{name}' never occurs in {origin}."
        f"{did_you_mean(name, names)} Labels there: {some}.",
        hint="Correct the label, or add rows with it to the training file.",
    )
