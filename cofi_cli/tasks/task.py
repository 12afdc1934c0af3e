"""A task: raw rows by split, the names of its labels, and how its predictions are scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from cofi_cli.errors import did_you_mean
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.files.columns import MOST_GROUPS
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.metrics.jackknife import kept_units
from cofi_cli.tasks.metrics.parts import OF_LABELS, PartScore, groups_of, label_scores
from cofi_cli.tasks.rows import Split, fingerprint
from cofi_cli.tasks.teacher.agreement import TeacherAnswers, agreement, some_rows


@dataclass(frozen=True)
class Task:
    """Everything that training and measuring need to know of a task.

    Attributes:
        name: the built-in name, or one made from the user's file.
        kind: what the model's head predicts.
        labels: label names in the order of their indices; empty for regression.
        metrics: what the kind knows to score, the headline first.
        splits: ``train``, ``validation``, and where there is one ``test``; MNLI has
            ``validation_mismatched`` too.
        max_length: longest input in tokens; longer ones are truncated.
        note: what a reader of the scores must know; shown in reports.
        encoding: what its kind's encoding takes beside ``max_length``.
        answers: split -> what the teacher answers there, where that is what scores are held
            against.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    splits: Mapping[str, Split]
    max_length: int
    note: str = ""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, TeacherAnswers] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """Split -> SHA-256 of its rows."""
        return {name: fingerprint(split) for name, split in self.splits.items()}

    @property
    def num_labels(self) -> int:
        """Width of the model's head: the number of classes, 1 for a number, 2 for spans."""
        return len(self.labels) if self.kind.outputs is None else self.kind.outputs

    @property
    def headline(self) -> str:
        """Name of the metric that stands for the task."""
        return self.metrics[0]

    def prepared(self, tokenizer: Any) -> Any:
        """Return a tokenizer as the kind needs it; this one belongs beside the model."""
        return self.kind.prepared(tokenizer)

    def encode(self, split: str, tokenizer: Any, *, limit: int | None = None) -> Encoded:
        """Tokenise a split, or its first ``limit`` rows.

        Raises:
            CofiError: the tokenizer does not serve this kind, or takes fewer tokens.
        """
        rows = self.splits[split]
        labels = None if rows.labels is None else rows.labels[:limit]
        some = Split(rows.texts[:limit], labels)
        encoded = self.kind.encode(some, tokenizer, self.max_length, **self.encoding)
        if split not in self.answers:
            return encoded
        return replace(encoded, gold=self.answers[split].first(len(encoded)))

    def can_score(self, split: str) -> bool:
        """Whether a split has labels or answers to score outputs against."""
        return split in self.answers or self.splits[split].labels is not None

    def score(self, outputs: Any, reference: Any) -> dict[str, float]:
        """Score predictions, in points from 0 to 100 (correlations: -100 to 100).

        Args:
            outputs: (rows, num_labels), or (rows,) for one number a row; for heads that answer
                for each token a :class:`~cofi_cli.tasks.encoded.Ragged` of (length, num_labels).
            reference: what :attr:`Encoded.reference` of the same rows holds.

        Returns:
            One value a metric, the headline first.

        Raises:
            ValueError: the shapes do not fit, or a logit is not finite.
        """
        if isinstance(reference, TeacherAnswers):
            return agreement(self.kind, outputs, reference)
        return self.kind.score(outputs, reference, self.labels, self.metrics)

    def scores_without(self, outputs: Any, reference: Any) -> list[float]:
        """Return the headline score without each of 20 groups of rows; empty with few rows.

        :func:`~cofi_cli.tasks.metrics.jackknife.paired_error` compares those of two models. The
        arguments are those of :meth:`score`.
        """
        is_taught = isinstance(reference, TeacherAnswers)
        some = some_rows if is_taught else self.kind.some
        units = len(reference.outputs) if is_taught else self.kind.units(reference)
        parts = (some(outputs, reference, kept) for kept in kept_units(units))
        return [self.score(*part)[self.headline] for part in parts]

    def part_scores(self, outputs: Any, reference: Any) -> dict[str, PartScore]:
        """Score each label, and the validation rows with each value of a column.

        The arguments are those of :meth:`score`, of the validation split. Scores against a teacher
        have no parts. What is not defined is left out.
        """
        if isinstance(reference, TeacherAnswers):
            return {}
        found: dict[str, PartScore] = {}
        columns = self.splits["validation"].columns
        if isinstance(reference, np.ndarray):  # one answer a row, each scored by itself
            for name, rows in groups_of(columns, len(reference)):
                own = reference[rows]
                if self.kind.problem_type == "regression" and np.ptp(own) == 0:
                    continue  # nothing correlates with a constant
                scores = self.score(np.asarray(outputs)[rows], own)
                found |= {f"{k}[{name}]": PartScore(v, len(rows)) for k, v in scores.items()}
        return found | dict(label_scores(self.kind.counts(outputs, reference, self.labels)))

    def why_no_part(self, name: str) -> str | None:
        """Say why there can be no score of this name; ``None`` where there can be one.

        Args:
            name: as :meth:`part_scores` names it.
        """
        metric, _, rest = name.partition("[")
        inner = rest.removesuffix("]")
        column, equals, value = inner.partition("=")
        columns = self.splits["validation"].columns
        labels = self.kind.judged_labels(self.labels)
        if metric in OF_LABELS and inner in labels:
            return None
        if not equals:
            if metric not in OF_LABELS:
                return f"of a label there are {', '.join(OF_LABELS)}, and no {metric}"
            return f"task '{self.name}' has no label '{inner}'{_known(inner, labels)}"
        if column not in columns:
            few = f"the validation rows have no column '{column}' of at most {MOST_GROUPS} values"
            return few + _known(column, columns)
        if value not in columns[column]:
            return f"no validation row has '{value}' as {column}{_known(value, columns[column])}"
        if metric not in self.metrics:
            return f"task '{self.name}' has no metric {metric}{_known(metric, self.metrics)}"
        return None


def _known(value: str, choices: Iterable[str]) -> str:
    """List the choices that there are, the one that was meant first."""
    names = list(dict.fromkeys(choices))
    return f".{did_you_mean(value, names)} There are: {', '.join(names) or 'none'}"
