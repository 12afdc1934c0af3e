"""A number a row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.files.file import Ask, Labels
from cofi_cli.tasks.files.labels import has_fraction, to_numbers
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Fitted, Kind, Names
from cofi_cli.tasks.metrics.basic import pearson


class Regression(Kind):
    """Texts or pairs, each with a number."""

    name = "regression"
    summary = "a number a row"
    outputs = 1
    problem_type: str | None = "regression"
    soft_loss = "numbers"
    metrics: tuple[str, ...] = ("pearson", "spearman")
    agreement = "Pearson correlation with the teacher's numbers"

    def shown_by(self, values: Sequence[object]) -> bool:
        """Whether a number has a fraction; whole numbers are classes, also as ``1.0``."""
        return any(map(has_fraction, values))

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read numbers."""
        return Labels(to_numbers(table, columns[0]))

    def _predicted(self, answers: Any) -> Any:
        return answers[:, 0]

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the correlation, 1.0 for the same numbers, constant or not."""
        ours, theirs = ours.reshape(-1), theirs.reshape(-1)
        return 1.0 if np.array_equal(ours, theirs) else pearson(theirs, ours)

    def constant_score(self, encoded: Encoded, labels: Names, metrics: Names) -> float | None:
        """Return 0: a constant does not correlate, and it ranks nothing."""
        return 0.0

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a pooled head with one output, 1 where it ranks."""
        is_one = len(teacher.labels) == 1 and teacher.problem_type != "multi_label_classification"
        return (1 if teacher.is_ranker else 2) if teacher.head == self.head and is_one else 0


KIND = Regression()
