"""Rows as bags of word pieces: what is left of a text when the order of its words is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks import Encoded, Ragged, Task
from cofi_cli.tasks.encoded import IGNORE

Reads = Literal["text", "pair", "words"]
"""What a row is: one bag, two bags, or a bag for each of its words."""

_MARKS = ("cls", "sep", "pad", "bos", "eos")


@dataclass(frozen=True)
class Marks:
    """Token ids that stand for no word.

    Attributes:
        separator: what stands between the texts of a pair; ``None`` where nothing does.
        all: these ids, the separator among them.
    """

    separator: int | None
    all: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> Marks:
        """Read a tokenizer's marks. Its unknown token and its mask count as words."""
        ids = {name: getattr(tokenizer, f"{name}_token_id", None) for name in _MARKS}
        separator = ids["sep"] if ids["sep"] is not None else ids["eos"]
        return cls(separator, frozenset(i for i in ids.values() if i is not None))


@dataclass(frozen=True)
class Bags:
    """A split as bags.

    Attributes:
        ids: a row the token ids of one bag, marks left out.
        starts: (rows + 1,) number of a row's first bag.
        places: (bags,) where a bag's first token is in the flat tokens; only of words.
    """

    ids: Ragged
    starts: NDArray[np.int64]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    def numbers(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Return the numbers of the bags of some rows, in order."""
        parts = [np.arange(self.starts[row], self.starts[row + 1]) for row in rows]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def renumbered(self, number: NDArray[np.int64]) -> Bags:
        """Return the same bags with token id i called ``number[i]``."""
        ids = Ragged.over(number[self.ids.flat], np.diff(self.ids.ends))
        return Bags(ids, self.starts, self.places)


def reads(task: Task) -> Reads:
    """Return what a task's rows are."""
    if task.kind.bag == "words":
        return "words"
    texts = task.splits["train"].texts
    return "pair" if len(texts) > 0 and len(texts[0]) == 2 else "text"


def make_bags(encoded: Encoded, marks: Marks, what: Reads) -> Bags:
    """Cut the rows of a split into bags.

    Args:
        encoded: the split; a word begins at a token with a label.
        marks: of the tokenizer that made it.
        what: a row is.
    """
    if what == "words":
        return _words(encoded, marks)
    bags: list[NDArray[Any]] = []
    for row in range(len(encoded)):
        ids = encoded.input_ids[row]
        parts = [ids]
        if what == "pair":
            second = _second(ids, encoded.token_type_ids[row], marks)
            parts = [ids[~second], ids[second]]
        bags += [part[~_is_mark(part, marks)] for part in parts]
    starts = np.arange(len(encoded) + 1) * (2 if what == "pair" else 1)
    return Bags(Ragged(bags), starts, np.empty(0, np.int64))


def _second(ids: NDArray[Any], types: NDArray[Any], marks: Marks) -> NDArray[np.bool_]:
    """Flag the tokens of a pair's second text: by token types, where there are, or the marks."""
    if types.any():
        return np.asarray(types == 1)
    found = np.flatnonzero(ids == marks.separator)
    return np.asarray(np.arange(len(ids)) > (found[0] if len(found) else len(ids)))


def _is_mark(ids: NDArray[Any], marks: Marks) -> NDArray[np.bool_]:
    return np.isin(ids, list(marks.all))


def _words(encoded: Encoded, marks: Marks) -> Bags:
    """Cut rows at their labels; what goes before a row's first label belongs to an earlier row."""
    if not isinstance(encoded.labels, Ragged):
        raise ValueError("words are told by their labels, and there are none")
    bags: list[NDArray[Any]] = []
    counts, places = [], []
    for row in range(len(encoded)):
        ids = encoded.input_ids[row]
        first = np.flatnonzero(encoded.labels[row] != IGNORE)
        for start, end in pairwise([*first, len(ids)]):
            word = ids[start:end]
            bags.append(word[~_is_mark(word, marks)])
        counts.append(len(first))
        places.append(encoded.labels.ends[row] + first)
    starts = np.cumsum([0, *counts]).astype(np.int64)
    return Bags(Ragged(bags), starts, np.concatenate([np.empty(0, np.int64), *places]))


def used_ids(splits: Iterable[Bags]) -> NDArray[np.int64]:
    """Return the token ids that occur in any split, ascending."""
    flat = np.concatenate([np.empty(0, np.int64), *(bags.ids.flat for bags in splits)])
    return np.unique(flat).astype(np.int64)
