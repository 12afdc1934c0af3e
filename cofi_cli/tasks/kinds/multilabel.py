"""Any number of labels a row.

Files write them as a list (jsonl, parquet), as names in one cell with a separator between them,
or as a column of 0 and 1 for each label.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.file import Ask, Labels
from cofi_cli.tasks.files.labels import class_name, class_names, is_empty, unknown_label
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Fitted, Kind, Names, Scores
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.parts import Counts, label_counts

SEPARATORS = ("|", ";")
"""The first of them that stands in any label cell of the training file is the separator."""
NONE = "none"
"""``task.separator`` of a file with one label a cell."""
FLAGS = "flags"
"""Labels that are a column of 0 and 1 each, in the place of a separator."""
_ON = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}


class Multilabel(Kind):
    """Texts or pairs, each with a yes or no for each label."""

    name = "multilabel"
    summary = "any number of classes a row"
    problem_type = "multi_label_classification"
    soft_loss = "sets"
    has_many_columns = True
    metrics = ("micro_f1", "macro_f1", "subset_accuracy")
    agreement = "micro F1 of its labels against the teacher's"

    def shown_by(self, values: Sequence[object]) -> bool:
        """Whether a label is a list, or a cell joins names of which one is a cell of its own."""
        cells = {value.strip() for value in values if isinstance(value, str)} - {""}
        joined = (cell.split(SEPARATORS[0]) for cell in cells if SEPARATORS[0] in cell)
        return any(isinstance(value, list) for value in values) or any(
            name.strip() in cells for names in joined for name in names
        )

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read sets of names, as lists, cells or a column of 0 and 1 each."""
        known, origin = ask.known, ask.origin(table.path)
        how = known.how if known and known.how else _how(table, columns, ask.config)
        if how == FLAGS:
            names = known.names if known else columns
            return Labels(_flags(table, columns, names), names, how)
        sets = _sets(table, columns[0], how)
        names = known.names if known else class_names([name for own in sets for name in own])
        if not names:
            raise CofiError(
                f"{table.path} has no label in any row (column '{columns[0]}').",
                hint="Name the label column with --label COLUMN.",
            )
        for row, own in enumerate(sets):
            for name in own:
                if name not in names:
                    raise unknown_label(name, names, table.place(row), origin)
        return Labels([[float(name in own) for name in names] for own in sets], names, how)

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score a yes or no for each label, (rows, C); yes is a probability of at least 0.5.

        Macro F1 is the mean over the labels that occur on either side. A score is 0 where there
        is nothing to find and nothing found.
        """
        gold = np.asarray(reference) > 0.5
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1, len(labels))
        yes = finite(logits, len(gold)) >= 0
        each = _f1(gold, yes, axis=0)
        found = {
            "micro_f1": np.nan_to_num(_f1(gold, yes)),
            "macro_f1": each[~np.isnan(each)].mean() if (gold | yes).any() else 0.0,
            "subset_accuracy": (gold == yes).all(axis=1).mean(),
        }
        return {name: float(100.0 * found[name]) for name in metrics}

    def judged_labels(self, labels: Names) -> tuple[str, ...]:
        """Return all of them."""
        return tuple(labels)

    def counts(self, outputs: Any, reference: Any, labels: Names) -> dict[str, Counts]:
        """Return the counts of each label."""
        predicted = np.asarray(outputs).reshape(-1, len(labels)) >= 0
        return label_counts(np.asarray(reference) > 0.5, predicted, labels)

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return micro F1, 1.0 where neither ever says yes."""
        return float(np.nan_to_num(_f1(theirs >= 0, ours >= 0), nan=1.0))

    def _constant(self, gold: Any, classes: int) -> Any:
        """Return the set of the labels that most rows have."""
        return gold.mean(0) - 0.5

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a pooled head for several labels, 1 for one that says nothing of it."""
        if teacher.head != self.head:
            return 0
        if teacher.problem_type == self.problem_type:
            return 2
        return int(len(teacher.labels) > 1 and not teacher.problem_type)


def _f1(gold: Any, yes: Any, axis: int | None = None) -> Any:
    """Return F1 = 2·tp / (2·tp + fp + fn); NaN where there is nothing to find and nothing found.

    Args:
        gold, yes: (rows, C) of bool.
        axis: 0 for that of each label; ``None`` counts all of them together.
    """
    with np.errstate(invalid="ignore"):
        return 2.0 * (gold & yes).sum(axis) / (gold.sum(axis) + yes.sum(axis))


def _how(table: Table, columns: tuple[str, ...], config: TaskConfig) -> str:
    """Return the separator of a file, or :data:`FLAGS`."""
    values = table.columns[columns[0]]
    if len(columns) > 1 or all(_is_flag(value) for value in values):
        return FLAGS
    texts = [value for value in values if isinstance(value, str)]
    usual = (mark for mark in SEPARATORS if any(mark in text for text in texts))
    return config.separator or next(usual, NONE)


def _is_flag(value: object) -> bool:
    return not isinstance(value, list | dict) and class_name(value) in _ON


def _flags(table: Table, columns: Sequence[str], names: Sequence[str]) -> list[list[float]]:
    """Return the 0 and 1 of each row, in the order of the names."""
    if set(names) != set(columns):
        raise CofiError(
            f"The label columns {', '.join(columns)} are not the teacher's labels: "
            f"{', '.join(names)}.",
            hint="Name a 0/1 column for each of them: --label A --label B",
        )
    for column in columns:
        for row, value in enumerate(table.columns[column]):
            if not _is_flag(value):
                raise CofiError(
                    f"{table.place(row)}: label column '{column}' is {value!r}; "
                    "expected is 0 or 1.",
                    hint="A column of label names is given alone: --label COLUMN",
                )
    cells = zip(*(table.columns[name] for name in names), strict=True)
    return [[_ON[class_name(value)] for value in row] for row in cells]


def _sets(table: Table, column: str, separator: str) -> list[set[str]]:
    """Return the names of each row; an empty cell or list is a row without any.

    Raises:
        CofiError: a cell that holds no names; names its row.
    """
    found = []
    for row, value in enumerate(table.columns[column]):
        parts: list[object] = value if isinstance(value, list) else [value]
        if isinstance(value, str):
            cut = [value] if separator == NONE else value.split(separator)
            parts = [part for part in cut if not is_empty(part)]
        if any(is_empty(part) or isinstance(part, list | dict) for part in parts):
            raise CofiError(
                f"{table.place(row)}: the label (column '{column}') is {value!r}; expected are "
                "names, in a list or with a separator between them.",
                hint="A row without any label has an empty list, or an empty cell.",
            )
        found.append({class_name(part) for part in parts})
    return found


KIND = Multilabel()
