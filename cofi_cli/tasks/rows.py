"""The raw rows of a split, and their fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Split:
    """Raw rows.

    Attributes:
        texts: one string a row, two for a pair (question and context, for spans), or for
            tagging the row's words.
        labels: a class index, or a number, a row; for several classes a row a 0 or 1 for each;
            for tagging a tag's index for each word; for spans a list of (answer, character
            where it starts). ``None`` where they are not known.
        columns: further columns of the validation file that tell its rows apart, by name.
    """

    texts: list[tuple[str, ...]]
    labels: list[Any] | None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)


def fingerprint(split: Split) -> str:
    """Return the SHA-256 of a split's rows, in order, as hexadecimal digits."""
    digest = hashlib.sha256()
    labels = split.labels if split.labels is not None else [None] * len(split)
    for texts, label in zip(split.texts, labels, strict=True):
        digest.update(json.dumps([*texts, label]).encode())
        digest.update(b"\n")
    return digest.hexdigest()
