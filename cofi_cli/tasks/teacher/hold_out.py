"""Rows held out of a text file, by what they say and by nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cofi_cli.errors import CofiError
from cofi_cli.tasks.kind import Kind

SHARE = 10
"""Every tenth row is held out."""
MOST = 1000
"""but no more than these."""
FEWEST = 2
"""Fewer held-out rows say nothing."""

Texts = list[tuple[str, ...]]


def hold_out(rows: Sequence[tuple[str, ...]], kind: Kind, path: Path) -> tuple[Texts, Texts]:
    """Return the rows to train on and those held out, each in the file's order.

    A row goes by the hash of its text; of a ranking by that of its query, of spans by that of
    their context, so that one query or context lies on one side. Those with more rows than are
    still wanted stay in training; where all have, the smallest is held out. Neither the order of
    the file nor the seed of a run matters.

    Raises:
        CofiError: too few different rows.
    """
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(kind.group(row), []).append(number)
    wanted = min(MOST, len(rows) // SHARE)
    too_few = CofiError(
        f"{path} has {len(rows)} rows of {len(groups)} different {kind.group_name}: "
        f"too few to hold some out; {SHARE * FEWEST} rows is the least.",
        hint="Add texts, or name rows to score on: --validation FILE",
    )
    if wanted < FEWEST:
        raise too_few
    chosen: set[int] = set()
    for key in sorted(groups, key=_digest):
        if len(chosen) + len(groups[key]) <= wanted:
            chosen.update(groups.pop(key))
    if len(chosen) < FEWEST:
        if len(groups) < 2:  # all that is left to train on
            raise too_few
        chosen.update(groups[min(groups, key=lambda key: (len(groups[key]), _digest(key)))])
    return (
        [row for number, row in enumerate(rows) if number not in chosen],
        [row for number, row in enumerate(rows) if number in chosen],
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
