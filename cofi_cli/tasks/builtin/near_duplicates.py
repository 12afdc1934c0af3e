"""Group near-duplicate texts, so that a split can keep each group on one side."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import ceil

THRESHOLD = 0.5
"""Jaccard similarity of two texts' shingles from which they count as near-duplicates."""

_WORD = re.compile(r"[^\W_]+")


def normalise(text: str) -> str:
    """Return the text's words in lower case, one space apart."""
    return " ".join(_WORD.findall(text.lower()))


def shingles(normalised: str) -> frozenset[str]:
    """Return the pairs of neighbouring words, and for a lone word that word."""
    words = normalised.split()
    return frozenset(map(" ".join, pairwise(words))) or frozenset(words)


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return ``|a & b| / |a | b|``."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 1.0


def group_near_duplicates(texts: Sequence[str], *, threshold: float = THRESHOLD) -> list[int]:
    """Give each text the number of its group.

    Two texts are in one group if their similarity reaches the threshold, or if a chain of
    such texts joins them. The search is exact: sets with a Jaccard similarity of at least t
    share an element among the ``|a| - ceil(t |a|) + 1`` rarest of each (Chaudhuri et al. 2006,
    *A Primitive Operator for Similarity Joins*), so only those are indexed.

    Args:
        texts: normalised texts.
        threshold: in (0, 1].

    Returns:
        For each text the index of the first text of its group.
    """
    sets = [shingles(text) for text in texts]
    count = Counter(shingle for found in sets for shingle in found)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    index: dict[str, list[int]] = defaultdict(list)
    for i, found in enumerate(sets):
        rarest = sorted(found, key=lambda shingle: (count[shingle], shingle))
        prefix = rarest[: len(found) - ceil(threshold * len(found)) + 1]
        for j in {j for shingle in prefix for j in index[shingle]}:
            a, b = root(i), root(j)
            if a != b and jaccard(found, sets[j]) >= threshold:
                parent[max(a, b)] = min(a, b)
        for shingle in prefix:
            index[shingle].append(i)
    return [root(i) for i in range(len(texts))]
