"""Relevance of passages in a user's file, and what of their queries can be scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.labels import read_labels, to_numbers
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.metrics.ranking import RankingGold, queries_of
from cofi_cli.tasks.rows import Split


def grade_reader(training: Table, column: str) -> tuple[Callable[[Table], list[Any]], str]:
    """Return what reads grades as numbers in [0, 1], and a note on their scale.

    All are divided by the largest grade of the training file, where that is above 1; what is
    still above 1 elsewhere is kept for the metrics, which look at no loss.

    Raises:
        CofiError: a grade that is negative or no number (which line), or none above 0.
    """
    largest = max(_grades(training, column))
    if largest == 0:
        raise CofiError(
            f"{training.path} has no relevant passage: column '{column}' is 0 in all rows.",
            hint="Relevance is 0 or 1, or graded, the higher the better: --label COLUMN",
        )
    scale = max(1.0, largest)
    note = ""
    if scale > 1:
        note = f"Relevance, 0 to {scale:g}, is divided by {scale:g} for the loss."
    return (lambda table: [grade / scale for grade in _grades(table, column)]), note


def _grades(table: Table, column: str) -> list[float]:
    read_labels(table, column)
    flags = {"true": 1, "false": 0}
    plain = [flags.get(str(value).strip().lower(), value) for value in table.columns[column]]
    read = Table(table.path, {column: plain}, table.lines, table.unit)
    grades = to_numbers(read, column, because="relevance is 0 or 1, or graded")
    for row, grade in enumerate(grades):
        if grade < 0:
            raise CofiError(
                f"{table.place(row)}: relevance {grade:g} (column '{column}') is below 0.",
                hint="0 is not relevant; the higher, the more relevant.",
            )
    return grades


def check_groups(split: Split, name: str) -> str:
    """Return a note on the groups that the metrics leave out, empty where there are none.

    Raises:
        CofiError: there is no group to score, or nothing to rank in any.
    """
    gold = RankingGold(queries_of(split), np.asarray(split.labels, dtype=np.float64))
    sizes = np.bincount(gold.query)
    relevant = np.bincount(gold.query, weights=gold.grade > 0)
    if not (relevant > 0).any():
        raise CofiError(f"No query of the {name} rows has a relevant passage: nothing to score.")
    if (sizes == 1).all():
        raise CofiError(
            f"Each query of the {name} rows has one passage only: there is nothing to rank.",
            hint="A ranking needs all candidates of a query, one a row, the query repeated. "
            "For pairs with a number each: --kind regression",
        )
    left_out = int((relevant == 0).sum())
    if not left_out:
        return ""
    return (
        f"{left_out} of {len(sizes)} queries of the {name} rows have no relevant passage and "
        "are left out of the scores."
    )
