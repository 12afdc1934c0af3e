"""Rows held out of a file of texts: a tenth, whole groups, never most of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS
from cofi_cli.tasks.teacher.hold_out import hold_out

HERE = Path("texts.txt")


def questions(*counts: int) -> list[tuple[str, ...]]:
    """Return so many questions on each context."""
    return [(f"{n} of {i}", f"context {i}") for i, count in enumerate(counts) for n in range(count)]


def test_a_tenth_of_different_texts_whatever_their_order() -> None:
    rows = [(f"text {i}",) for i in range(300)]
    kept, held = hold_out(rows, KINDS["classification"], HERE)
    assert (len(kept), len(held)) == (270, 30)
    assert set(hold_out(rows[::-1], KINDS["classification"], HERE)[1]) == set(held)


@pytest.mark.parametrize(
    ("counts", "held"),
    [
        ((9000, 1000), 1000),  # the whole small one is a tenth
        ((5000, 3000), 3000),  # none fits: the smallest
        ((900, *[1] * 100), 100),
        ((500, 480, 1), 480 + 1),  # one row says nothing
    ],
)
def test_a_large_context_stays_in_training(counts: tuple[int, ...], held: int) -> None:
    kept, out = hold_out(questions(*counts), KINDS["span"], HERE)
    assert (len(kept), len(out)) == (sum(counts) - held, held)
    assert {context for _, context in kept}.isdisjoint(context for _, context in out)


@pytest.mark.parametrize("counts", [(40,), (39, 1), (5, 5)])
def test_too_few_to_hold_some_out(counts: tuple[int, ...]) -> None:
    with pytest.raises(CofiError, match=r"too few to hold some out.*20 rows"):
        hold_out(questions(*counts), KINDS["span"], HERE)
