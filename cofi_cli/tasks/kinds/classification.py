"""One class a row."""

from typing import Any

import numpy as np

from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.file import TEACHERS, Ask, Labels
from cofi_cli.tasks.files.labels import class_name, class_names, filled, to_classes
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Fitted, Kind, Names
from cofi_cli.tasks.metrics.parts import Counts, label_counts


class Classification(Kind):
    """Texts or pairs, each of one class."""

    name = "classification"
    summary = "one class a row"
    problem_type = "single_label_classification"
    metrics = ("accuracy", "macro_f1")
    agreement = "the share of rows where both give the same class"

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read names of classes; a file may count the teacher's instead."""
        known, origin = ask.known, ask.origin(table.path)
        (column,) = columns
        own = {class_name(value) for value in filled(table, column)}
        names = known.names if known else class_names(own)
        if known is None and len(names) == 1:
            raise CofiError(
                f"{table.path} has only one label, '{names[0]}' (column '{column}').",
                hint="A classification needs rows of at least two classes.",
            )
        is_taught = origin == TEACHERS
        counted = tuple(map(str, range(len(names))))
        is_counted = is_taught and own <= set(counted) and not own <= set(names)
        shown = counted if is_counted else names
        values = to_classes(table, column, shown, origin, any_case=is_taught)
        return Labels(values, names)

    def judged_labels(self, labels: Names) -> tuple[str, ...]:
        """Return all of them."""
        return tuple(labels)

    def counts(self, outputs: Any, reference: Any, labels: Names) -> dict[str, Counts]:
        """Return the counts of each class."""
        predicted = np.asarray(outputs).reshape(-1, len(labels)).argmax(-1)
        one_hot = np.eye(len(labels), dtype=np.bool_)
        return label_counts(one_hot[np.ravel(reference)], one_hot[predicted], labels)

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a pooled head with several outputs that is not for several labels."""
        is_many = len(teacher.labels) > 1 and teacher.problem_type != "multi_label_classification"
        return 2 if teacher.head == self.head and is_many else 0


KIND = Classification()
