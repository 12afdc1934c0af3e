"""Entities as seqeval's default mode reads them; expected values are worked out by hand."""

from __future__ import annotations

from itertools import product

import pytest

from cofi_cli.tasks.metrics.tags import entities, entity_scores, iob2_tags, is_tag, to_iob2

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("x", "y"))]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x O B-y", [("x", 0, 2), ("y", 3, 4)]),  # IOB2
        ("I-x I-x O I-y", [("x", 0, 2), ("y", 3, 4)]),  # IOB1
        ("I-x B-x I-x", [("x", 0, 1), ("x", 1, 3)]),  # IOB1: B parts neighbours
        ("B-x I-x E-x S-y", [("x", 0, 3), ("y", 3, 4)]),  # BIOES
        ("S-x S-x", [("x", 0, 1), ("x", 1, 2)]),
        ("E-x E-x", [("x", 0, 1), ("x", 1, 2)]),
        ("S-x I-x", [("x", 0, 1), ("x", 1, 2)]),
        ("E-x I-x E-x", [("x", 0, 1), ("x", 1, 3)]),
        ("B-x I-y I-y", [("x", 0, 1), ("y", 1, 3)]),  # another type ends an entity
        ("B-x E-y", [("x", 0, 1), ("y", 1, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),  # a type may have hyphens
        ("O O", []),
        ("", []),
    ],
)
def test_entities(tags, expected):
    assert entities(tags.split()) == expected


def runs(tags):
    """The same by another route: words joined to their predecessor, pair by pair."""
    joined = {
        (left, right)
        for kind in "xy"
        for left, right in product((f"B-{kind}", f"I-{kind}"), (f"I-{kind}", f"E-{kind}"))
    }
    found = []
    for word, tag in enumerate(tags):
        if word and (tags[word - 1], tag) in joined:
            found[-1] = (found[-1][0], found[-1][1], word + 1)
        elif tag != "O":
            found.append((tag[2:], word, word + 1))
    return found


def test_every_short_sentence_keeps_its_entities_as_iob2():
    for length in range(5):
        for tags in product(TAGS, repeat=length):
            expected = runs(tags)
            assert entities(tags) == expected
            written = to_iob2(tags)
            assert entities(written) == expected
            begun = [word for word, tag in enumerate(written) if tag[0] == "B"]
            assert begun == [start for _, start, _ in expected]
            assert set(written) <= set(iob2_tags("xy"))


def test_scores_worked_out_by_hand():
    gold = [["B-x", "I-x", "O", "B-y"], ["O", "B-x", "B-x", "O"]]
    found = [["B-x", "I-x", "O", "B-x"], ["O", "B-x", "I-x", "B-y"]]
    # Gold: x 0-2, y 3, x 1, x 2. Found: x 0-2, x 3, x 1-3, y 3. One of four, one of four.
    scores = entity_scores(gold, found)
    assert list(scores) == ["entity_f1", "precision", "recall", "accuracy"]
    assert scores == {"entity_f1": 0.25, "precision": 0.25, "recall": 0.25, "accuracy": 5 / 8}
    # Two right of two found, four wanted: P 1, R 1/2, F1 2/3.
    found = [["B-x", "I-x", "O", "O"], ["O", "B-x", "O", "O"]]
    scores = entity_scores(gold, found)
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)
    assert scores["entity_f1"] == pytest.approx(2 / 3)


def test_counts_are_summed_before_they_are_divided():
    gold = [["B-x"], ["B-x", "B-x", "B-x"]]
    found = [["O"], ["B-x", "B-x", "B-x"]]
    assert entity_scores(gold, found)["recall"] == 0.75, "not the mean of 0 and 1"


def test_nothing_found_and_nothing_there():
    assert entity_scores([["O"]], [["O"]]) == {
        "entity_f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "accuracy": 1.0,
    }
    assert entity_scores([["B-x"]], [["O"]])["entity_f1"] == 0.0


@pytest.mark.parametrize("tag", ["O", "B-x", "I-creative-work", "E-x", "S-x"])
def test_tags(tag):
    assert is_tag(tag)


@pytest.mark.parametrize("tag", ["", "o", "x", "B", "B-", "Bx", "L-x", "O-x", "B_x", "-x"])
def test_what_is_no_tag(tag):
    assert not is_tag(tag)
