"""How many pieces: a number, or the fewest that hardly lengthen texts that were not counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Tokenizer

from cofi_cli.errors import CofiError
from cofi_cli.runs.records.export import HeldOut, Vocabulary
from cofi_cli.vocabulary.pieces import Pieces, Trimmed, count, whole

AUTO: Literal["auto"] = "auto"
MOST_GROWTH = 0.02
"""Of the tokens of held-out texts, under ``auto``."""
HELD_OUT = 10
"""Every n-th different text is held out."""
FEWEST_TEXTS = 20
_STEP = 64
"""``auto`` looks no closer."""


@dataclass(frozen=True)
class Choice:
    """A trimmed tokenizer, and what export.json says of it."""

    trimmed: Trimmed
    facts: Vocabulary

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for export.json."""
        return self.facts.model_dump()


def choose(
    tokenizer: Any, texts: Sequence[str], size: int | Literal["auto"], *, needed: Sequence[int] = ()
) -> Choice:
    """Return the tokenizer of the pieces that texts use most.

    Args:
        tokenizer: a fast one of transformers.
        texts: one in :data:`HELD_OUT` is not counted, but measured.
        size: number of pieces; ``auto`` for the fewest with a growth below
            :data:`MOST_GROWTH`.
        needed: further ids that stay.

    Raises:
        CofiError: a kind that cannot be trimmed, too few pieces, or hardly any text.
    """
    pieces = Pieces(tokenizer, needed)
    if size != AUTO:
        pieces.check(size)
    texts = [text for text in dict.fromkeys(texts) if text.strip()]
    if len(texts) < FEWEST_TEXTS:
        raise CofiError(
            f"There are {len(texts)} different texts to choose a vocabulary by; "
            f"at least {FEWEST_TEXTS} are needed.",
            hint="Add a file with more texts: --text FILE",
        )
    before = whole(tokenizer)
    held_out = texts[::HELD_OUT]
    counted = [text for i, text in enumerate(texts) if i % HELD_OUT]
    highest = max([*pieces.pieces.values(), *pieces.outside.values()]) + 1
    counts = count(before, counted, highest)

    def tried(number: int) -> Choice:
        trimmed = pieces.trimmed(number, counts)
        found = compare(before, trimmed.tokenizer(), held_out, unknown=pieces.model.unknown)
        facts = Vocabulary(
            pieces=len(trimmed.rows),
            before=pieces.size,
            smallest=pieces.smallest,
            held_out=found,
        )
        return Choice(trimmed, facts)

    if size != AUTO:
        return tried(min(size, pieces.size + len(pieces.new)))
    low, high = pieces.smallest, pieces.size + len(pieces.new)
    best = tried(high)
    while high - low > _STEP:
        middle = (low + high) // 2
        own = tried(middle)
        if own.facts.held_out.growth < MOST_GROWTH:
            best, high = own, middle
        else:
            low = middle
    return best


def compare(
    before: Tokenizer, after: Tokenizer, texts: Sequence[str], *, unknown: str | None
) -> HeldOut:
    """Split texts with both."""
    old, new = (
        [split.tokens for split in own.encode_batch(texts, add_special_tokens=False)]
        for own in (before, after)
    )
    tokens, more = (sum(map(len, splits)) for splits in (old, new))
    lost, had = (sum(s.count(unknown) for s in splits) if unknown else 0 for splits in (new, old))
    changed = sum(int(a != b) for a, b in zip(old, new, strict=True))
    return HeldOut(
        texts=len(texts),
        changed=changed / len(texts),
        unknown=lost,
        unknown_before=had,
        growth=more / max(1, tokens) - 1,
    )
