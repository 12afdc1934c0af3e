"""More rows to imitate the teacher on, made of the rows that there are.

A small student follows its teacher on the rows that it trains on and not on others, so that it
gains from any further text. No label is made up: the teacher answers for every row. Words are
replaced by any word of the vocabulary (Wang et al. 2018, SwitchOut), so that the student learns
words that no row has, or by their neighbours in the encoder's own table of word vectors, as
TinyBERT does with GloVe (Jiao et al. 2020, section 3.3), or left out, or a part of the text is
kept alone (Tang et al. 2019, section 3.2); pairs are also paired anew (Thakur et al. 2021,
Augmented SBERT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cofi_cli.errors import CofiError
from cofi_cli.tasks import EXTRA, Encoded, Ragged
from cofi_cli.training.mapped import mapped_arrays
from cofi_cli.training.session import Session
from cofi_cli.training.stages.seeding import derive
from cofi_cli.training.teacher.obtain import load_for_task

NEIGHBOURS = 15
"""Words that may take a word's place; K of TinyBERT, appendix B."""
SWITCHED = 0.2
"""Share of words that any word of the vocabulary takes the place of."""
REPLACED = 0.2
"""Share of the other words that a neighbour takes the place of; TinyBERT's is 0.4, with a language
model to choose."""
DROPPED = 0.1
"""Share of words that are left out; Tang et al. 2019 mask as many."""
CROPPED = 0.25
"""Share of texts of which a part is kept; the n-grams of Tang et al. 2019."""
RE_PAIRED = 0.5
"""Share of pairs whose second text comes from another row: half of them from a similar one."""
_LEAST_PART = 3
"""Words of the shortest part that is kept."""
_SIMILAR = 20
"""Rows among which a similar one is drawn."""
_ROWS_AT_ONCE = 2048
_WORDS_AT_ONCE = 512

Ids = NDArray[np.int64]


def imitated_rows(session: Session) -> Encoded:
    """Return the rows that the teacher is imitated on: training rows, extra texts, changed ones.

    Raises:
        CofiError: ``distill.label_weight`` asks for labels that texts of ``task.extra`` lack.
    """
    config, has_extra = session.config, EXTRA in session.splits
    if has_extra and config.distill.label_weight:
        raise CofiError(
            "distill.label_weight needs labels, which the texts of --extra do not have.",
            hint="Leave one of the two out.",
        )
    # Least squares, and importances, take the rows as they are.
    copies = config.distill.augment if config.prune.method == "gates" else 0
    if not has_extra and not copies:
        return session.splits["train"]
    made = _more_rows(session, copies) if session.processes.local_index == 0 else None
    return mapped_arrays(session.run.checkpoints / "imitated", made, session.processes)


def _more_rows(session: Session, copies: int) -> Encoded:
    """Return the training rows with changed copies of each, and the extra texts."""
    rows = session.splits["train"]
    if copies:
        model = load_for_task(session, session.config.model)
        rows = augmented(
            rows,
            copies=copies,
            vectors=model.model.encoder.embeddings.word.weight,
            special=_no_words(session.tokenizer),
            max_length=session.task.max_length * (1 if rows.parts is None else len(rows.parts[0])),
            keeps_order=session.task.kind.keeps_order,
            seed=derive(session.config.seed, "augmentation"),
        )
    return _together(rows, session.splits[EXTRA]) if EXTRA in session.splits else rows


def _together(*parts: Encoded) -> Encoded:
    """Return the rows of several splits as one, without labels."""
    ids = Ragged.joined([part.input_ids for part in parts])
    types = Ragged.joined([part.token_type_ids for part in parts])
    lengths = np.diff(ids.ends).astype(np.int64)
    cuts = [part.parts for part in parts if part.parts is not None]
    kept = Ragged.joined(cuts) if cuts else None
    return Encoded(ids, types, None, lengths, parts=kept)


def _no_words(tokenizer: Any) -> list[int]:
    """Return the ids of tokens that stand for no text: special and unused ones."""
    unused = [
        i for word, i in tokenizer.get_vocab().items() if "unused" in word and word[0] in "[<"
    ]
    return sorted({*tokenizer.all_special_ids, *unused})


@dataclass(frozen=True)
class _Row:
    """A row as runs of words between special tokens.

    Attributes:
        ids, types: of all tokens, (T,).
        runs: (start, end) of each run of words.
    """

    ids: Ids
    types: Ids
    runs: list[tuple[int, int]]


def augmented(
    encoded: Encoded,
    *,
    copies: int,
    vectors: Tensor,
    special: Sequence[int],
    max_length: int,
    keeps_order: bool,
    seed: int,
) -> Encoded:
    """Return the rows of a split and ``copies`` changed ones of each, none with a label.

    Args:
        encoded: tokenised rows.
        copies: of each row.
        vectors: the encoder's word vectors, (V, d).
        special: ids of special tokens, which stay where they are.
        max_length: most tokens of a row.
        keeps_order: whether each text stays whole and in its place, for tasks whose answers
            lie in it (tags and spans): words are replaced only.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    rows = [_row(encoded, i, set(special)) for i in range(len(encoded))]
    words = _Vocabulary(rows, vectors, special)
    pairs = None if keeps_order else _similar(rows, vectors)
    made = [
        _changed(rows, i, words, rng, pairs=pairs, whole=keeps_order, limit=max_length)
        for _ in range(copies)
        for i in range(len(rows))
    ]
    ids, types = Ragged(row[0] for row in made), Ragged(row[1] for row in made)
    lengths = np.diff(ids.ends).astype(np.int64)
    own = None if encoded.parts is None else [*encoded.parts] * copies  # no text was cut
    cuts = None if own is None else Ragged(own)
    return _together(encoded, Encoded(ids, types, None, lengths, parts=cuts))


def _row(encoded: Encoded, index: int, special: set[int]) -> _Row:
    ids = np.asarray(encoded.input_ids[index], dtype=np.int64)
    is_word = np.array([int(i) not in special for i in ids], dtype=np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_word, [0]])))
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return _Row(ids, np.asarray(encoded.token_type_ids[index], dtype=np.int64), runs)


def _changed(
    rows: Sequence[_Row],
    index: int,
    words: _Vocabulary,
    rng: np.random.Generator,
    *,
    pairs: Ids | None,
    whole: bool,
    limit: int,
) -> tuple[Ids, Ids]:
    """Return the ids and types of one changed row."""
    row = rows[index]
    texts = [row.ids[start:end] for start, end in row.runs]
    if pairs is not None and len(texts) == 2 and rng.random() < RE_PAIRED:
        other = rows[
            int(rng.choice(pairs[index]) if rng.random() < 0.5 else rng.integers(len(rows)))
        ]
        if len(other.runs) == 2:
            start, end = other.runs[1]
            texts[1] = other.ids[start:end]
    is_cut = not whole and len(texts) == 1 and rng.random() < CROPPED
    changed = []
    for text in texts:
        text = words.replaced(text, rng)
        if not whole:
            text = text[_part(len(text), rng)] if is_cut else text[_kept(len(text), rng)]
        changed.append(text)
    frame = len(row.ids) - sum(end - start for start, end in row.runs)
    while (over := frame + sum(map(len, changed)) - limit) > 0:
        longest = max(range(len(changed)), key=lambda i: len(changed[i]))
        changed[longest] = changed[longest][: max(1, len(changed[longest]) - over)]
    ids, types, at = [], [], 0
    for (start, end), text in zip(row.runs, changed, strict=True):
        ids += [row.ids[at:start], text]
        types += [row.types[at:start], np.full(len(text), row.types[start])]
        at = end
    return np.concatenate([*ids, row.ids[at:]]), np.concatenate([*types, row.types[at:]])


def _part(length: int, rng: np.random.Generator) -> slice:
    """Return a random part of a text, ``_LEAST_PART`` words at least."""
    size = int(rng.integers(min(_LEAST_PART, length), length + 1))
    start = int(rng.integers(0, length - size + 1))
    return slice(start, start + size)


def _kept(length: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    kept = rng.random(length) >= DROPPED
    return kept if kept.any() else ~kept


class _Vocabulary:
    """What may take a word's place: any word, or one of those nearest to it by their vectors.

    Args:
        rows: whose words are replaced.
        vectors: of all words, (V, d).
        special: ids that take no word's place.
    """

    def __init__(self, rows: Sequence[_Row], vectors: Tensor, special: Sequence[int]) -> None:
        unit = torch.nn.functional.normalize(vectors.detach().float().cpu(), dim=1)
        unit[list(special)] = 0.0
        words = np.unique(np.concatenate([row.ids for row in rows]))
        count = min(NEIGHBOURS + 1, len(unit))
        nearest = [
            (unit[part] @ unit.T).topk(count, dim=1).indices
            for part in torch.from_numpy(words).split(_WORDS_AT_ONCE)
        ]
        self.all: Ids = np.setdiff1d(np.arange(len(unit)), special)
        self.place = np.full(len(unit), -1, dtype=np.int64)
        self.place[words] = np.arange(len(words))
        self.near: Ids = torch.cat(nearest).numpy()[:, 1:]  # the first is the word itself

    def replaced(self, words: Ids, rng: np.random.Generator) -> Ids:
        """Return words of which some are replaced."""
        near = self.near[self.place[words], rng.integers(self.near.shape[1], size=len(words))]
        words = np.where(rng.random(len(words)) < REPLACED, near, words)
        switched = rng.random(len(words)) < SWITCHED
        return np.where(switched, rng.choice(self.all, len(words)), words)


def _similar(rows: Sequence[_Row], vectors: Tensor) -> Ids | None:
    """Return for each pair the rows whose second text is nearest to its first, (rows, n).

    Texts are compared by the mean of their word vectors. ``None`` where rows are single texts.
    """
    if not all(len(row.runs) == 2 for row in rows):
        return None
    table = vectors.detach().float().cpu()
    table = table - table.mean(0)

    def means(run: int) -> Tensor:
        texts = [table[torch.from_numpy(r.ids[slice(*r.runs[run])])].mean(0) for r in rows]
        return torch.nn.functional.normalize(torch.stack(texts), dim=1)

    first, second = means(0), means(1)
    count = min(_SIMILAR, len(rows))
    found = [(part @ second.T).topk(count, dim=1).indices for part in first.split(_ROWS_AT_ONCE)]
    return torch.cat(found).numpy()
