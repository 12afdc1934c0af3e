"""The standard error of a difference: rows left out by their kind, and what follows from it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cofi_cli.architectures import load_tokenizer
from cofi_cli.tasks import KINDS, Encoded, Ragged, Split, Task
from cofi_cli.tasks.metrics.jackknife import GROUPS, kept_units, paired_error
from cofi_cli.tasks.teacher.agreement import TeacherAnswers
from tests.tiny_tokenizers import save, texts

UNITS = 45
"""Rows, sentences, pairs, contexts or queries of each split."""
TAGS = ("O", "B-x", "I-x")
WORDS = [text.split()[:12] or ["ka"] for text in texts(4 * UNITS)]
LONG = [WORDS[i] + WORDS[UNITS + i] for i in range(UNITS)]
Rows = list[tuple[int, tuple[str, ...], Any]]
"""The number of the unit that a row is of, its texts, and its label."""


def rows_of(kind: str) -> Rows:
    """Return rows of 45 units, some of which have several."""
    rng = random.Random(1)
    lines = [" ".join(words) for words in WORDS]
    if kind == "tokens":
        return [(i, tuple(w), [rng.randrange(3) for _ in w]) for i, w in enumerate(LONG)]
    if kind == "span":
        asked = [
            (i, lines[UNITS + i + n], lines[i]) for i in range(UNITS) for n in range(1 + i % 2)
        ]
        return [(i, (asks, text), [(text.split()[-1], len(text) - len(text.split()[-1]))])
                for i, asks, text in asked]  # fmt: skip
    if kind == "ranking":
        return [(i, (f"{i} {lines[i]}", lines[UNITS + 3 * i + n]), float(rng.randrange(2)))
                for i in range(UNITS) for n in range(2 + i % 2)]  # fmt: skip
    if kind == "choice":
        return [(i, tuple(lines[3 * i : 3 * i + 3]), rng.randrange(2)) for i in range(UNITS)]
    label: Any = {
        "classification": lambda: rng.randrange(3),
        "multilabel": lambda: [rng.randrange(2) for _ in range(3)],
        "regression": rng.random,
        "embedding": rng.random,
    }[kind]
    return [(i, (lines[i], lines[UNITS + i]), label()) for i in range(UNITS)]


def task_of(kind: str, rows: Rows) -> Task:
    own = KINDS[kind]
    labels = {
        "regression": (),
        "embedding": (),
        "span": (),
        "ranking": (),
        "tokens": TAGS,
        "choice": ("0", "1"),
    }
    split = Split([texts for _, texts, _ in rows], [label for *_, label in rows])
    names = labels.get(kind, ("a", "b", "c"))
    encoding = {"doc_stride": 4} if kind == "span" else {}
    return Task("t", own, names, own.metrics, {"validation": split}, 24, encoding=encoding)


def outputs_of(kind: str, encoded: Encoded, *, seed: int = 0) -> Any:
    """Return random answers that depend on a row's tokens alone."""
    rngs = [np.random.default_rng([seed, *map(int, ids)]) for ids in encoded.input_ids]
    width = {"span": 2, "regression": 1, "ranking": 1, "embedding": 8, "choice": 2}.get(kind, 3)
    if kind in ("span", "tokens"):
        return Ragged(
            (rng.normal(size=(n, width)) for rng, n in zip(rngs, encoded.lengths)),
            dtype=np.float32,
        )
    return np.stack([rng.normal(size=width) for rng in rngs])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    save(folder, "WordPiece")
    return load_tokenizer(str(folder))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"encoder"}))
def test_scores_without_a_group_are_those_of_the_other_rows(kind: str, tokenizer: Any) -> None:
    rows = rows_of(kind)
    task = task_of(kind, rows)
    encoded = task.encode("validation", tokenizer)
    assert len(encoded) > len(rows) or kind not in ("span", "tokens", "embedding")
    found = task.scores_without(outputs_of(kind, encoded), encoded.reference)
    assert len(found) == GROUPS and len(set(found)) > 1
    for left in (0, 7, GROUPS - 1):
        kept = kept_units(UNITS)[left]
        others = task_of(kind, [row for row in rows if kept[row[0]]])
        some = others.encode("validation", tokenizer)
        alone = others.score(outputs_of(kind, some), some.reference)[task.headline]
        assert found[left] == pytest.approx(alone)


@pytest.mark.parametrize("is_ragged", [False, True])
def test_agreement_with_a_teacher_has_an_error_too(is_ragged: bool) -> None:
    kind = KINDS["tokens" if is_ragged else "classification"]
    task = Task("t", kind, TAGS, ("agreement",), {}, 24)
    rng = np.random.default_rng(0)
    ours, theirs = ([rng.normal(size=(3 + row % 4, 3)) for row in range(UNITS)] for _ in range(2))
    make: Any = (lambda rows: Ragged(rows, dtype=np.float32)) if is_ragged else (
        lambda rows: np.stack([row[0] for row in rows])
    )  # fmt: skip
    found = task.scores_without(make(ours), TeacherAnswers(make(theirs)))
    kept = kept_units(UNITS)[4]
    some = [[row for row, own in zip(rows, kept) if own] for rows in (ours, theirs)]
    alone = task.score(make(some[0]), TeacherAnswers(make(some[1])))
    assert found[4] == pytest.approx(alone["agreement"])


def test_too_few_rows_have_no_error() -> None:
    assert kept_units(39) == [] and len(kept_units(40)) == GROUPS
    assert paired_error([], []) is None and paired_error([1.0], []) is None


def test_of_a_mean_it_is_the_spread_of_the_groups_means() -> None:
    """Of groups of one size the jackknife is exactly sd / sqrt(groups)."""
    rng = np.random.default_rng(0)
    ours, theirs = (rng.random(100 * GROUPS) for _ in range(2))
    without = [[float(x[kept].mean()) for kept in kept_units(len(x))] for x in (ours, theirs)]
    means = [(ours - theirs)[~kept].mean() for kept in kept_units(len(ours))]
    wanted = np.std(means, ddof=1) / np.sqrt(GROUPS)
    assert paired_error(*without) == pytest.approx(wanted)
    assert wanted == pytest.approx((ours - theirs).std() / np.sqrt(len(ours)), rel=0.35)


def test_labels_in_turn_do_not_fall_into_groups() -> None:
    """One model gains on the rows of the one class what it loses on the other's."""
    rng = np.random.default_rng(0)
    label = np.arange(2000) % 2
    changed = np.where(rng.random(2000) < 0.1, 2 * label - 1, 0)
    without = [float(changed[kept].mean()) for kept in kept_units(2000)]
    error = paired_error(without, [0.0] * GROUPS)
    assert error == pytest.approx(changed.std() / np.sqrt(2000), rel=0.35)


def test_an_error_that_is_no_number_is_not_known() -> None:
    assert paired_error([1.0, float("nan")], [1.0, 1.0]) is None


def test_models_that_agree_differ_by_nothing() -> None:
    """Either score is uncertain by a point, and their difference not at all."""
    right = np.random.default_rng(0).random(800) < 0.9
    without = [float(right[kept].mean()) for kept in kept_units(800)]
    assert paired_error(without, without) == 0.0
    shifted = [score - 0.5 for score in without]
    assert paired_error(without, shifted) == pytest.approx(0.0, abs=1e-9)
