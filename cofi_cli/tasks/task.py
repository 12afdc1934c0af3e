"""A task: raw rows by split, the names of its labels, and how its predictions are scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.metrics import METRICS

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Split:
    """Raw rows.

    Attributes:
        texts: one string a row, or two for a sentence pair.
        labels: class indices, or numbers for regression; ``None`` where they are not known.
    """

    texts: list[tuple[str, ...]]
    labels: list[int] | list[float] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.texts)


def fingerprint(split: Split) -> str:
    """Return the SHA-256 of a split's rows, in order, as hexadecimal digits."""
    digest = hashlib.sha256()
    labels = split.labels if split.labels is not None else [None] * len(split)
    for texts, label in zip(split.texts, labels, strict=True):
        digest.update(json.dumps([*texts, label]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class Task:
    """Everything that training and measuring need to know of a task.

    Attributes:
        name: the built-in name, or one made from the user's file.
        kind: what the model's head predicts.
        labels: label names in the order of their indices; empty for regression.
        metrics: names of :data:`~cofi_cli.tasks.metrics.METRICS`; the first is the headline.
        splits: ``train``, ``validation``, and where there is one ``test``; MNLI has
            ``validation_mismatched`` too.
        max_length: longest input in tokens; longer ones are truncated.
        note: what a reader of the scores must know; shown in reports.
        fingerprint: split -> SHA-256 of its rows; filled in when left out.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    splits: Mapping[str, Split]
    max_length: int
    note: str = ""
    fingerprint: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in the fingerprints."""
        if not self.fingerprint:
            found = {name: fingerprint(split) for name, split in self.splits.items()}
            object.__setattr__(self, "fingerprint", found)

    @property
    def num_labels(self) -> int:
        """Width of the model's head: the number of classes, 1 for regression."""
        return len(self.labels) if self.kind == "classification" else 1

    @property
    def headline(self) -> str:
        """Name of the metric that stands for the task."""
        return self.metrics[0]

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
        """Score predictions, in points from 0 to 100 (correlations: -100 to 100).

        Args:
            logits: (rows, num_labels), or (rows,) for regression.
            labels: (rows,) class indices, or numbers for regression.

        Returns:
            One value a metric, the headline first.

        Raises:
            ValueError: the shapes do not fit, or a logit is not finite.
        """
        logits = np.asarray(logits, dtype=np.float64).reshape(-1, self.num_labels)
        labels = np.asarray(labels).reshape(-1)
        if len(logits) != len(labels):
            raise ValueError(f"{len(logits)} rows of logits against {len(labels)} labels.")
        if not np.isfinite(logits).all():
            bad = int((~np.isfinite(logits).all(axis=1)).sum())
            raise ValueError(f"The model's output is not finite in {bad} of {len(logits)} rows.")
        predictions = logits.argmax(1) if self.kind == "classification" else logits[:, 0]
        return {name: 100.0 * METRICS[name](labels, predictions) for name in self.metrics}
