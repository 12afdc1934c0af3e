"""Tokenised rows, and the batches made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


IGNORE = -100
"""Label of a token that no loss looks at, as torch's cross-entropy has it."""
GROUP_BATCHES = 50
"""Batches that are sorted by length together. More pads less, but mixes rows less."""


class Ragged(Sequence[Any]):
    """Rows of unequal length in one flat array: a tenth of the memory of lists.

    Args:
        rows: each a sequence of numbers, or an array of shape (length, ...).
        dtype: of the flat array.
    """

    def __init__(self, rows: Iterable[Any], dtype: Any = np.int32) -> None:
        kept = [np.asarray(row, dtype=dtype) for row in rows]
        self.flat = np.concatenate(kept) if kept else np.empty(0, dtype)
        self.ends = np.cumsum([0, *map(len, kept)], dtype=np.int64)

    @classmethod
    def over(cls, flat: NDArray[Any], lengths: NDArray[np.int64]) -> Ragged:
        """Cut a flat array, (tokens, ...), into rows of these lengths."""
        made = cls(())
        made.flat, made.ends = flat, np.concatenate([[0], np.cumsum(lengths)])
        return made

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Put the rows of several behind each other."""
        if not parts:
            return cls(())
        lengths = np.concatenate([part.lengths for part in parts])
        return cls.over(np.concatenate([part.flat for part in parts]), lengths)

    def take(self, kept: NDArray[np.bool_]) -> Ragged:
        """Return some of the rows, (rows,)."""
        return Ragged.over(self.flat[np.repeat(kept, self.lengths)], self.lengths[kept])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row."""
        return np.diff(self.ends)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, row: Any) -> Any:
        """Return one row, of shape (length, ...)."""
        row = range(len(self))[row]
        return self.flat[self.ends[row] : self.ends[row + 1]]


@dataclass(frozen=True)
class Encoded:
    """A tokenised split.

    Attributes:
        input_ids: token ids, a row an int32 array of its own length, special tokens included.
        token_type_ids: as long as the ids; zeros where the tokenizer gives none.
        labels: what the loss takes: (rows, ...) int64 class indices or float32 numbers, or a
            class index a token (-100 where no loss looks); ``None`` where not known.
        lengths: (rows,) int64, tokens a row.
        parts: where a row is several sequences, the tokens of each; ``None`` = a row is one.
        gold: what scores are held against where the labels are not enough.
    """

    input_ids: Ragged
    token_type_ids: Ragged
    labels: NDArray[Any] | Ragged | None
    lengths: NDArray[np.int64]
    gold: Any = None
    parts: Ragged | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        lengths = self.lengths if self.parts is None else self.parts.flat
        return int(lengths.max())

    @property
    def reference(self) -> Any:
        """What :meth:`Task.score` takes beside the outputs; ``None`` where nothing is known."""
        return self.labels if self.gold is None else self.gold

    def __len__(self) -> int:
        return len(self.lengths)

    def inputs(self, rows: Sequence[int]) -> Encoded:
        """Return what a model reads of some rows, without labels."""
        ids = Ragged(self.input_ids[row] for row in rows)
        types = Ragged(self.token_type_ids[row] for row in rows)
        return Encoded(ids, types, None, self.lengths[list(rows)])


def collate(
    encoded: Encoded,
    indices: Sequence[int],
    *,
    pad_id: int,
    device: torch.device | str | None = None,
    round_up: bool = False,
) -> dict[str, torch.Tensor]:
    """Build one batch, padded on the right to its longest row, or a little beyond it.

    Args:
        encoded: a split.
        indices: of its rows.
        pad_id: of padding.
        device: where the batch goes.
        round_up: pad to a length that recurs, at most an eighth more or 3 tokens, and never
            beyond the longest sequence of the split.

    Returns:
        ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 of shape (batch, length),
        or (batch, sequences, length) where a row is several; ``labels``, if known, (batch, ...)
        int64 or float32, or (batch, length) int64 with -100 at padding; ``index`` (batch,) int64,
        the rows' numbers in the split.
    """
    import torch

    longest = encoded.longest if round_up else None
    arrays = pad_rows(encoded, indices, pad_id=pad_id, round_up_to=longest)
    if isinstance(encoded.labels, Ragged):
        arrays["labels"] = np.full(arrays["input_ids"].shape, IGNORE, dtype=np.int64)
        for place, row in enumerate(indices):
            arrays["labels"][place, : int(encoded.lengths[row])] = encoded.labels[row]
    elif encoded.labels is not None:
        arrays["labels"] = encoded.labels[list(indices)]
    arrays["index"] = np.asarray(indices, dtype=np.int64)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}


class TokenRows(Protocol):
    """Rows of token ids and types; ``parts`` is as :class:`Encoded` has it."""

    @property
    def input_ids(self) -> Sequence[Any]:
        """Token ids, row by row."""

    @property
    def token_type_ids(self) -> Sequence[Any]:
        """As long as the ids."""

    @property
    def parts(self) -> Ragged | None:
        """Tokens of each sequence of a row."""


def pad_rows(
    rows: TokenRows, indices: Sequence[int], *, pad_id: int, round_up_to: int | None = None
) -> dict[str, NDArray[Any]]:
    """Pad rows on the right to the longest sequence among them.

    Args:
        rows: tokenised.
        indices: of those to pad.
        pad_id: of padding.
        round_up_to: pad to a length that recurs, and to no more than this.

    Returns:
        ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64, (batch, length) or
        (batch, sequences, length).
    """
    cut = [sequence for row in indices for sequence in _sequences(rows, row)]
    longest = max(len(ids) for ids, _ in cut)
    if round_up_to is not None:
        step = max(4, 1 << max(0, longest.bit_length() - 4))
        longest = min(-(-longest // step) * step, round_up_to)
    shape = (len(cut), longest)
    ids = np.full(shape, pad_id, dtype=np.int64)
    types, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for place, (own, own_types) in enumerate(cut):
        ids[place, : len(own)] = own
        types[place, : len(own)] = own_types
        mask[place, : len(own)] = 1
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if rows.parts is None:
        return arrays
    return {name: array.reshape(len(indices), -1, longest) for name, array in arrays.items()}


def _sequences(rows: TokenRows, row: int) -> list[tuple[Any, Any]]:
    """Return the ids and types of each sequence of a row."""
    ids, types = rows.input_ids[row], rows.token_type_ids[row]
    if rows.parts is None:
        return [(ids, types)]
    edges = np.cumsum(rows.parts[row])[:-1]
    return list(zip(np.split(ids, edges), np.split(types, edges), strict=True))


def batches(
    lengths: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    group_by_length: bool,
) -> list[list[int]]:
    """Plan one epoch: every row once, in shuffled batches of row numbers.

    Grouped by length, rows are shuffled, cut into chunks of :data:`GROUP_BATCHES` batches,
    sorted by length inside their chunk, cut into batches, and the batches shuffled. So
    padding is small, while which rows meet, and when, differs from epoch to epoch.

    Args:
        lengths: (rows,) tokens a row.
        batch_size: rows a batch; the short one of the epoch may come at any place.
        seed: of the run.
        epoch: 0, 1, ...; each has its own order.
        group_by_length: whether batches hold rows of similar length.

    Returns:
        A pure function of the arguments.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    if group_by_length:
        chunk = np.arange(len(lengths)) // (GROUP_BATCHES * batch_size)
        order = order[np.lexsort((lengths[order], chunk))]
    cut = _cut(order, batch_size)
    return [cut[i] for i in rng.permutation(len(cut))] if group_by_length else cut


def eval_batches(lengths: NDArray[np.int64], *, batch_size: int) -> list[list[int]]:
    """Plan an evaluation: every row once, the longest first, so that memory peaks at once."""
    return _cut(np.argsort(-np.asarray(lengths), kind="stable"), batch_size)


def _cut(order: NDArray[np.int64], size: int) -> list[list[int]]:
    return [order[start : start + size].tolist() for start in range(0, len(order), size)]
