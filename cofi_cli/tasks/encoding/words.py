"""Words to sub-words: a word's tag sits on its first sub-word, and no word of a row is lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.encoded import IGNORE, Encoded, Ragged
from cofi_cli.tasks.encoding.texts import calls
from cofi_cli.tasks.rows import Split

NOWHERE = -1
"""Place of a word that the tokenizer makes nothing of, such as a lone control character."""


@dataclass(frozen=True)
class WordTags:
    """What a tagging is scored against: every word of the raw rows.

    Attributes:
        tags: a row the indices of its words' tags.
        places: (words,) of all rows: where in the flat outputs, (tokens, labels), a word's
            first sub-word is; :data:`NOWHERE` for a word without any.
        tokens: of all encoded rows together.
    """

    tags: Ragged
    places: NDArray[np.int64]
    tokens: int


def for_words(tokenizer: Any) -> Any:
    """Return the tokenizer, or a copy of it, that takes one word like another.

    A byte-level tokenizer tells a word after a space from one at the start. Given words one by
    one, it has to put the space before each itself (``add_prefix_space``). The copy saves as such.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    step = tokenizer.backend_tokenizer.pre_tokenizer
    if not isinstance(step, ByteLevel) or step.add_prefix_space:
        return tokenizer
    made = copy.deepcopy(tokenizer)
    step = made.backend_tokenizer.pre_tokenizer
    step.add_prefix_space = True
    made.backend_tokenizer.pre_tokenizer = step
    made.add_prefix_space = made.init_kwargs["add_prefix_space"] = True
    return made


def encode_words(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise rows of words; a row too long for ``max_length`` becomes several, in order.

    A row of plain text serves as well where there are no labels.

    Returns:
        Encoded rows, at least one a raw row. A word is labelled in the one that holds its first
        sub-word. ``gold`` is a :class:`WordTags` of the raw rows, ``None`` without labels.
    """
    starts = np.cumsum([0, *map(len, split.texts)])
    places = np.full(starts[-1], NOWHERE, dtype=np.int64)
    ids: list[NDArray[np.int32]] = []
    types: list[list[int]] = []
    done = 0
    for row, tokens, token_types, words in _windows(split, for_words(tokenizer), max_length):
        own = places[starts[row] : starts[row + 1]]
        at = np.flatnonzero(words != NOWHERE)
        # Backwards, so that the first of a word's sub-words is the last to be written.
        fresh = at[own[words[at]] == NOWHERE][::-1]
        own[words[fresh]] = done + fresh
        done += len(tokens)
        ids.append(np.asarray(tokens, dtype=np.int32))
        types.append(token_types)
    made, made_types = Ragged(ids), Ragged(types)
    if split.labels is None:
        return Encoded(made, made_types, None, made.lengths)
    tags = Ragged(split.labels, dtype=np.int64)
    labels = np.full(done, IGNORE, dtype=np.int64)
    is_somewhere = places != NOWHERE
    labels[places[is_somewhere]] = tags.flat[is_somewhere]
    own_labels, gold = Ragged.over(labels, made.lengths), WordTags(tags, places, done)
    return Encoded(made, made_types, own_labels, made.lengths, gold)


def _windows(
    split: Split, tokenizer: Any, max_length: int
) -> Iterator[tuple[int, list[int], list[int], NDArray[np.int64]]]:
    """Yield raw row, ids, token types, and each token's word in its row, piece by piece."""
    for start, call in calls(
        tokenizer,
        [[list(words) for words in split.texts]],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
    ):
        for piece, tokens in enumerate(call["input_ids"]):
            words = [NOWHERE if word is None else word for word in call.word_ids(piece)]
            types = call["token_type_ids"][piece] if "token_type_ids" in call else [0] * len(tokens)
            row = start + call["overflow_to_sample_mapping"][piece]
            yield row, tokens, types, np.asarray(words, dtype=np.int64)
