"""Questions and contexts as features: a context longer than the model takes in windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded, Ragged
from cofi_cli.tasks.encoding.texts import calls
from cofi_cli.tasks.rows import Split

QUESTION_TOKENS = 64
"""A longer question is cut, as BERT's run_squad does (max_query_length)."""
NO_ANSWER = (0, 0)
"""Where the answer is not in a feature, both labels point at its first token, [CLS]."""


@dataclass(frozen=True)
class SpanGold:
    """From a feature's tokens back to text, and what the answers should have been.

    Q questions on C distinct contexts make F features.

    Attributes:
        contexts: the C texts.
        offsets: for each context its tokens' first characters and those after their last,
            (tokens, 2).
        context_of: (Q,) the question's context.
        answers: the texts that count as right, for each question; none: there is no answer.
        question_of: (F,) the feature's question; features of one question are neighbours.
        windows: (F, 3) where in the feature the context begins, with which of its tokens,
            and how many stand there.
    """

    contexts: Sequence[str]
    offsets: Ragged
    context_of: NDArray[np.int64]
    answers: Sequence[Sequence[str]]
    question_of: NDArray[np.int64]
    windows: NDArray[np.int64]


def encode_spans(split: Split, tokenizer: Any, max_length: int, *, doc_stride: int) -> Encoded:
    """Tokenise questions and contexts into features.

    Neighbouring windows share ``doc_stride`` tokens of the context, half a window at most.
    Labels are (F, 2) positions of the first and the last token of a question's first answer
    (:data:`NO_ANSWER` where it is not wholly inside); ``gold`` is a :class:`SpanGold`.

    Raises:
        CofiError: the tokenizer gives no offsets, or ``max_length`` leaves no room.
    """
    if not tokenizer.is_fast:
        raise CofiError(
            "Spans need a fast tokenizer, which gives the place of each token in the text.",
            hint="Use a model with a tokenizer.json.",
        )
    before, between, after, part_types = _template(tokenizer)
    free = max_length - len([*before, *between, *after])
    longest = min(QUESTION_TOKENS, free // 2)
    if longest < 1:
        raise CofiError(
            f"task.max_length is {max_length}, which leaves no room for question and context.",
            hint="Add --max-length 384",
        )
    questions, _ = _tokenise([text[0] for text in split.texts], tokenizer)
    distinct: dict[str, int] = {}
    context_of = np.array(
        [distinct.setdefault(text[1], len(distinct)) for text in split.texts], dtype=np.int64
    )
    contexts, offsets = _tokenise(list(distinct), tokenizer)
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.int8]] = []
    question_of: list[int] = []
    windows: list[tuple[int, int, int]] = []
    for row, context in enumerate(context_of):
        question, text = questions[row][:longest], contexts[context]
        room = free - len(question)
        head = [before, question, between]
        lead = sum(map(len, head))
        stride = min(doc_stride, room // 2)
        # The last window is the first to reach the end.
        for first in range(0, max(1, len(text) - stride), room - stride):
            part = text[first : first + room]
            pieces = [*head, part, after]
            ids.append(np.concatenate(pieces).astype(np.int32))
            types.append(np.repeat(part_types, [len(p) for p in pieces]).astype(np.int8))
            question_of.append(row)
            windows.append((lead, first, len(part)))
    made = Ragged(ids)
    gold = SpanGold(
        contexts=list(distinct),
        offsets=offsets,
        context_of=context_of,
        answers=[[text for text, _ in row] for row in split.labels or ()],
        question_of=np.array(question_of, dtype=np.int64),
        windows=np.array(windows, dtype=np.int64).reshape(-1, 3),
    )
    made_types = Ragged(types, dtype=np.int8)
    if split.labels is None:
        return Encoded(made, made_types, None, made.lengths)
    return Encoded(made, made_types, _labels(split.labels, gold), made.lengths, gold)


def _labels(labels: Sequence[Any], gold: SpanGold) -> NDArray[np.int64]:
    """Return first and last token of the first answer in each feature, (F, 2)."""
    found = np.full((len(labels), 2), -1, dtype=np.int64)  # in tokens of the context
    for row, answers in enumerate(labels):
        if answers:
            text, start = answers[0]
            offsets = gold.offsets[gold.context_of[row]]
            # The first token that ends behind the answer's start, the last that starts before
            # its end: also where a token is wider than the answer.
            found[row, 0] = np.searchsorted(offsets[:, 1], start, side="right")
            found[row, 1] = np.searchsorted(offsets[:, 0], start + len(text), side="left") - 1
    lead, first, count = gold.windows.T
    begin, end = found[gold.question_of].T - first
    inside = (begin >= 0) & (begin <= end) & (end < count)
    places = np.stack([begin + lead, end + lead], axis=1)
    return np.where(inside[:, None], places, np.array(NO_ANSWER))


def _template(tokenizer: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    """Read off an encoded pair what stands around its texts; the tokenizer may give no types.

    Returns:
        Special tokens before, between and after question and context; types of all five.
    """
    call = tokenizer("a", "b")
    ids = list(call["input_ids"])
    types = list(call.get("token_type_ids") or [0] * len(ids))
    parts = call.sequence_ids()
    first, second = parts.index(0), parts.index(1)
    end = len(parts) - parts[::-1].index(1)
    between = len(parts) - parts[::-1].index(0)
    own = [types[i] if i < len(types) else 0 for i in (0, first, between, second, end)]
    return ids[:first], ids[between:second], ids[end:], own


def _tokenise(texts: list[str], tokenizer: Any) -> tuple[Ragged, Ragged]:
    """Return texts' token ids and offsets, without special tokens."""
    ids: list[Any] = []
    offsets: list[Any] = []
    for _, call in calls(
        tokenizer,
        [texts],
        add_special_tokens=False,
        return_token_type_ids=False,
        return_offsets_mapping=True,
        verbose=False,  # of lengths: windows see to them
    ):
        ids += [np.asarray(row, dtype=np.int32) for row in call["input_ids"]]
        offsets += [np.asarray(o, dtype=np.int32).reshape(-1, 2) for o in call["offset_mapping"]]
    return Ragged(ids), Ragged(offsets)
