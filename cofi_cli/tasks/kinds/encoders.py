"""From raw rows to tokens, by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.kinds.specs import Kind
from cofi_cli.tasks.kinds.texts import encode_rows
from cofi_cli.tasks.rows import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_length(tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Refuse rows longer than the model takes.

    Raises:
        CofiError: with the most that it takes.
    """
    if max_length > tokenizer.model_max_length:
        raise CofiError(
            f"task.max_length is {max_length}, but this model takes at most "
            f"{tokenizer.model_max_length} tokens.",
            hint=f"Add --set task.max_length={tokenizer.model_max_length}",
        )


def encode(
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    kind: Kind = "classification",
    **options: Any,
) -> Encoded:
    """Tokenise a split for a kind of task; ``options`` are what its encoding takes beside.

    Raises:
        CofiError: the tokenizer's model takes fewer tokens than ``max_length``.
    """
    check_length(tokenizer, max_length)
    return ENCODERS.get(kind, encode_rows)(split, tokenizer, max_length, **options)


def _encode_spans(split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
    from cofi_cli.tasks.kinds.span import encode_spans

    return encode_spans(split, tokenizer, max_length, **options)


def _encode_words(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    from cofi_cli.tasks.kinds.tokens import encode_words

    return encode_words(split, tokenizer, max_length)


def _encode_ranking(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    from cofi_cli.tasks.kinds.ranking import encode_ranking

    return encode_ranking(split, tokenizer, max_length)


def _encode_embedding(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    from cofi_cli.tasks.kinds.embedding import encode_embedding

    return encode_embedding(split, tokenizer, max_length)


ENCODERS: Mapping[Kind, Callable[..., Encoded]] = {
    "span": _encode_spans,
    "tokens": _encode_words,
    "ranking": _encode_ranking,
    "embedding": _encode_embedding,
}
"""Kinds with an encoding of their own; all others are :func:`encode_rows`."""
