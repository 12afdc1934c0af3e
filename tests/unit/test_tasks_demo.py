"""The demo task: sizes, determinism, and no near-duplicates across splits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from cofi_cli.errors import CofiError
from cofi_cli.tasks.builtin.demo import (
    CLASSES,
    LARGEST_CLASS,
    SMALLEST_CLASS,
    THRESHOLD,
    demo_task,
    group_near_duplicates,
    jaccard,
    normalise,
    shingles,
)


@pytest.fixture(scope="module")
def task():
    before = set(sys.modules)
    found = demo_task(max_length=128)
    assert not {"turtle", "idlelib", "antigravity"} & (set(sys.modules) - before)
    return found


def test_it_is_large_enough_to_learn_from_and_not_lopsided(task):
    rows = Counter(label for split in task.splits.values() for label in split.labels)
    assert 3000 < sum(rows.values()) < 7000
    assert set(task.labels) <= set(CLASSES)
    assert len(task.labels) >= 4
    assert set(rows) == set(range(task.num_labels))
    assert all(SMALLEST_CLASS <= count <= LARGEST_CLASS for count in rows.values())
    train = len(task.splits["train"]) / sum(rows.values())
    assert 0.75 < train < 0.85
    for split in task.splits.values():
        assert set(split.labels) == set(rows)


def test_the_note_says_what_the_scores_are_not(task):
    assert "compare with no published figure" in task.note
    assert task.metrics == ("accuracy", "macro_f1")


def test_it_is_the_same_in_every_process(task):
    code = (
        "from cofi_cli.tasks.builtin.demo import demo_task; "
        "print(demo_task(max_length=128).fingerprint)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert out.strip() == str(task.fingerprint)


def test_no_near_duplicates_across_splits(task):
    train = [shingles(normalise(text)) for (text,) in task.splits["train"].texts]
    held_out = [
        shingles(normalise(text))
        for name in ("validation", "test")
        for (text,) in task.splits[name].texts
    ]
    worst = max(jaccard(a, b) for a in random.Random(0).sample(held_out, 200) for b in train)
    assert worst < THRESHOLD


def test_groups_equal_those_of_comparing_all_pairs():
    rng = random.Random(1)
    words = ["return", "the", "name", "of", "a", "file", "or", "its", "path", "as", "string"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 8))) for _ in range(150)]
    group = list(range(len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if jaccard(shingles(texts[i]), shingles(texts[j])) >= THRESHOLD and group[i] != group[j]:
            low, high = sorted((group[i], group[j]))
            group = [low if g == high else g for g in group]
    assert group_near_duplicates(texts) == group
    assert 1 < len(set(group)) < len(texts)


def test_normalise():
    assert normalise("The `Foo_bar`'s  VALUE,\n1.5!") == "the foo bar s value 1 5"


def test_rules_of_one_library(tmp_path, monkeypatch):
    monkeypatch.setattr("cofi_cli.tasks.builtin.demo.SMALLEST_CLASS", 1)
    (tmp_path / "http" / "tests").mkdir(parents=True)
    (tmp_path / "http" / "client.py").write_text(
        '"""Too short here."""\n'
        'raise SystemExit("sources are never run")\n'
        'def f():\n    """Open one\n    connection now please.\n\n    >>> f()\n    1\n    """\n'
        'def g():\n    """Words that both of the classes share."""\n'
    )
    (tmp_path / "http" / "tests" / "t.py").write_text('"""This file is no library at all."""')
    (tmp_path / "http" / "broken.py").write_text("def (")
    (tmp_path / "queue.py").write_text(
        '"""Words that BOTH of the classes share!"""\n'
        'async def f():\n    """Wait until there is room."""\n'
        'class C:\n    """Wait until there is room"""\n'
    )
    task = demo_task(max_length=8, library=tmp_path)
    assert task.labels == ("concurrency", "network and mail")
    rows = {
        (text, task.labels[label])
        for split in task.splits.values()
        for (text,), label in zip(split.texts, split.labels, strict=True)
    }
    assert rows == {
        ("Open one connection now please.", "network and mail"),
        ("Wait until there is room.", "concurrency"),
    }


def test_a_python_without_sources(tmp_path):
    with pytest.raises(CofiError) as caught:
        demo_task(max_length=8, library=tmp_path)
    assert caught.value.message == (
        f"The task 'demo' finds 0 docstrings below {tmp_path}: too few."
    )
    assert caught.value.exit_code == 5
