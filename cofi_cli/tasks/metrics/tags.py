"""Tags of words: the entities that they spell, and how well two taggings agree.

A tag is ``O``, outside of any entity, or a prefix and the entity's type: ``B-person``. Schemes
differ in the prefixes. In IOB2 every entity begins with B; in IOB1 (the files of CoNLL 2003) only
one that follows an entity of its own type; BIOES marks the last word with E, a single one with S.

All are read here by one lenient rule, that of seqeval in its default mode and of the CoNLL script
before it: an entity is a longest run of words of one type, and ends before B and S, after E and S.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from cofi_cli.tasks.metrics.parts import Counts

OUTSIDE = "O"
PREFIXES = ("B", "I", "E", "S")

Tagging = Sequence[Sequence[str]]
"""The tags of each sentence."""
Entity = tuple[str, int, int]
"""Type, first word, one past the last word."""


def is_tag(tag: str) -> bool:
    """Whether a string is ``O``, or one of the prefixes, a hyphen and a type."""
    prefix, hyphen, kind = tag.partition("-")
    return tag == OUTSIDE or (prefix in PREFIXES and bool(hyphen and kind.strip()))


def kind_of(tag: str) -> str:
    """Return an entity tag's type; empty for ``O``."""
    return tag.partition("-")[2]


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return a sentence's entities in order, as seqeval's default mode finds them."""
    found: list[Entity] = []
    start, before = 0, OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        if tag[0] in "BSO" or before[0] in "ESO" or kind_of(tag) != kind_of(before):
            if before != OUTSIDE:
                found.append((kind_of(before), start, place))
            start = place
        before = tag
    return found


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Write a sentence's entities as IOB2, whatever the scheme of its tags."""
    written = [OUTSIDE] * len(tags)
    for kind, start, end in entities(tags):
        written[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return written


def iob2_tags(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return all tags of these types of entities: O, and B and I of each."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI"))


def entity_scores(gold: Tagging, predicted: Tagging) -> dict[str, float]:
    """Score taggings of the same sentences, as fractions of 1.

    An entity is right when its type and both its ends are. Counts are summed over types and
    sentences before they are divided (the micro average), as seqeval and the CoNLL script do.

    Returns:
        ``entity_f1``, ``precision`` and ``recall`` of entities, 0 where undefined; ``accuracy``
        of words.
    """
    kinds = {kind_of(tag) for tags in (*gold, *predicted) for tag in tags} - {""}
    counts = entity_counts(gold, predicted, kinds)
    right, found, wanted = (sum(own) for own in zip(Counts(0, 0, 0), *counts.values()))
    pairs = (zip(*tags, strict=True) for tags in zip(gold, predicted, strict=True))
    same = [ours == theirs for ours, theirs in chain.from_iterable(pairs)]
    return {
        "entity_f1": _share(2 * right, wanted + found),
        "precision": _share(right, found),
        "recall": _share(right, wanted),
        "accuracy": _share(sum(same), len(same)),
    }


def entity_counts(gold: Tagging, predicted: Tagging, kinds: Iterable[str]) -> dict[str, Counts]:
    """Return for each type its entities that are right, those found and those there are."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for ours, theirs in zip(gold, predicted, strict=True):
        expected, answered = set(entities(ours)), set(entities(theirs))
        wanted.update(kind for kind, *_ in expected)
        found.update(kind for kind, *_ in answered)
        right.update(kind for kind, *_ in expected & answered)
    return {kind: Counts(right[kind], found[kind], wanted[kind]) for kind in kinds}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
