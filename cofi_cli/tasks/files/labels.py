"""Labels of a user's file: names to class indices, or numbers for a regression."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.tables import Table

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST = 3.4e38
"""What training computes in holds no larger number."""
FLAGS = ("false", "true")
"""Names of the classes of a column of booleans."""
_COMMA = re.compile(r"[+-]?\d+,\d+")
_LIST = re.compile(r"\[(['\"].*['\"]|[\d\s.,eE+-]*)\]", re.DOTALL)
"""Of texts, or of numbers with or without commas between them."""
_WHOLE = re.compile(r"[+-]?\d+")
_WHOLE_OR_ZEROS = re.compile(r"([+-]?)(\d+)(?:\.0*)?")


def read_labels(table: Table, column: str) -> list[object]:
    """Return a label column's values.

    Raises:
        CofiError: one is empty or NaN, or a list; names its row.
    """
    values = table.columns[column]
    for row, value in enumerate(values):
        if is_empty(value):
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is empty.",
                hint="Fill it in, or leave the row out.",
            )
        if isinstance(value, list | dict):
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is a {type(value).__name__}, "
                "but one class or number is needed."
            )
        check_no_list(value, f"{table.place(row)}: the label (column '{column}')")
    return values


def check_classes(table: Table, column: str) -> None:
    """Refuse labels that name one class in two ways, or numbers that do not look like any.

    Raises:
        CofiError: some are true or false and some 0 or 1, or all are numbers with a comma.
    """
    values = table.columns[column]
    is_flag = [class_name(value) in FLAGS for value in values]
    if any(is_flag) and {"0", "1"} & set(map(class_name, values)):
        row = is_flag.index(not is_flag[0])
        raise CofiError(
            f"{table.place(row)}: the label (column '{column}') is {values[row]}, but the first "
            f"is {values[0]}: true and false do not go together with 0 and 1.",
            hint="Write one or the other in all rows.",
        )
    if values and all(_COMMA.fullmatch(str(value).strip()) for value in values):
        raise CofiError(
            f"{table.place(0)}: the label (column '{column}') is '{values[0]}', a number with a "
            "comma.",
            hint="Write numbers with a point: 1.5",
        )


def check_no_list(value: object, place: str) -> None:
    """Refuse a list that was written into a cell as Python shows it, as dataframes do.

    Raises:
        CofiError: it is one.
    """
    if isinstance(value, str) and _is_list(value.strip()):
        raise CofiError(
            f"{place} is {value.strip()}, a list as Python shows it.",
            hint="Write such a file as jsonl or parquet, which hold lists: df.to_json(FILE, "
            "orient='records', lines=True). Or put names between separators: joy|anger",
        )


def _is_list(text: str) -> bool:
    if _LIST.fullmatch(text):
        return True
    if not text.startswith(("[", "(", "{")):
        return False
    try:
        return isinstance(ast.literal_eval(text), list | tuple | set | dict)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def is_empty(value: object) -> bool:
    """Whether a cell holds nothing: null, NaN, or only spaces."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_regression(table: Table, column: str) -> bool:
    """Whether training labels are numbers to be predicted: at least one has a fraction.

    Whole numbers are names of classes, also when written as ``0.0`` and ``1.0``, as
    dataframes do; ``2.5`` among them makes all of them numbers.

    Raises:
        CofiError: some values have a fraction and another is no number; names its row.
    """
    values = table.columns[column]
    fractions = [row for row, value in enumerate(values) if _has_fraction(value)]
    if not fractions:
        return False
    to_numbers(table, column, because=f"others are, such as {values[fractions[0]]}")
    return True


def to_numbers(table: Table, column: str, *, because: str) -> list[float]:
    """Return a label column as numbers.

    Raises:
        CofiError: one is not a finite number; names its row, and says ``because``.
    """
    numbers: list[float] = []
    for row, value in enumerate(table.columns[column]):
        text = str(value).strip()
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not abs(number) <= _LARGEST:
            raise CofiError(
                f"{table.place(row)}: label '{text}' is not a finite number, but {because}."
            )
        numbers.append(number)
    return numbers


def class_name(value: object) -> str:
    """Return the name of a class: the same for ``1``, ``1.0``, ``+1``, ``"1"`` and ``"1."``.

    And for true and false, which dataframes write as ``True`` and ``False``. Zeros in front stay.
    """
    text = str(value).strip()
    if text.lower() in FLAGS:
        return text.lower()
    if (whole := _WHOLE_OR_ZEROS.fullmatch(text)) is None:
        return text
    sign, digits = whole[1].replace("+", ""), whole[2]
    return digits if digits == "0" else sign + digits


def class_names(values: Sequence[object]) -> tuple[str, ...]:
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
    own = [class_name(value) for value in table.columns[column]]
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


def _has_fraction(value: object) -> bool:
    text = str(value).strip()
    return _NUMBER.fullmatch(text) is not None and not float(text).is_integer()
