"""Changed rows: what may change in them, and what may not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cofi_cli.config import DistillConfig, PruneConfig, TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import EXTRA, Encoded, Ragged, load_task, with_extra
from cofi_cli.training.teacher import augmentation
from cofi_cli.training.teacher.augmentation import augmented, imitated_rows

CLS, SEP = 1, 2
SPECIAL = (0, CLS, SEP)
WORDS = np.arange(3, 103)
VECTORS = torch.from_numpy(
    np.stack([np.cos(np.arange(103) / 40), np.sin(np.arange(103) / 40)], axis=1)
).float()
"""Words lie on an arc in their order, so that the neighbours of a word are the next numbers."""


def encoded(rows: list[list[int]]) -> Encoded:
    ids = Ragged(rows)
    types = Ragged([np.cumsum(np.array([0, *row[:-1]]) == SEP).clip(max=1) for row in rows])
    return Encoded(ids, types, np.zeros(len(rows), np.int64), np.diff(ids.ends))


def single(count: int = 40, length: int = 12) -> Encoded:
    rng = np.random.default_rng(0)
    return encoded([[CLS, *rng.choice(WORDS, length), SEP] for _ in range(count)])


def pairs(count: int = 40, length: int = 8) -> Encoded:
    rng = np.random.default_rng(0)
    texts = rng.choice(WORDS, (count, 2, length))
    return encoded([[CLS, *a, SEP, *b, SEP] for a, b in texts])


def change(rows: Encoded, **options: object) -> Encoded:
    given = {"copies": 3, "max_length": 64, "keeps_order": False, "seed": 5} | options
    return augmented(rows, vectors=VECTORS, special=SPECIAL, **given)


def test_rows_come_first_and_copies_behind_them_without_labels():
    rows = single()
    found = change(rows)
    assert len(found) == 4 * len(rows) and found.labels is None
    assert all((found.input_ids[i] == rows.input_ids[i]).all() for i in range(len(rows)))
    assert [len(ids) for ids in found.input_ids] == found.lengths.tolist()
    assert [len(types) for types in found.token_type_ids] == found.lengths.tolist()


def test_the_seed_decides():
    first, again, other = (change(single(), seed=seed) for seed in (5, 5, 6))
    assert (first.input_ids.flat == again.input_ids.flat).all()
    assert not np.array_equal(first.input_ids.flat, other.input_ids.flat)


def test_words_whose_place_counts_are_replaced_by_neighbours_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(augmentation, "SWITCHED", 0.0)
    rows = single(count=200)
    found = change(rows, keeps_order=True, copies=1)
    before, after = rows.input_ids.flat, found.input_ids.flat[len(rows.input_ids.flat) :]
    assert before.shape == after.shape
    special = np.isin(before, SPECIAL)
    assert (before[special] == after[special]).all()
    moved = np.abs(before - after)[~special]
    assert 0 < moved.max() <= augmentation.NEIGHBOURS
    assert (moved > 0).mean() == pytest.approx(augmentation.REPLACED, abs=0.03)
    assert not np.isin(after[~special], SPECIAL).any()


def test_words_that_no_row_has_come_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augmentation, "REPLACED", 0.0)
    few = encoded([[CLS, *WORDS[:10], SEP]] * 400)
    found = change(few, keeps_order=True, copies=1)
    before, after = (x.reshape(400, -1)[:, 1:-1] for x in np.split(found.input_ids.flat, 2))
    kept = 1 / len(WORDS)  # a word may be drawn in its own place
    expected = augmentation.SWITCHED * (1 - kept)
    assert (before != after).mean() == pytest.approx(expected, abs=0.03)
    assert set(np.unique(after)) == set(WORDS), "all words, and special ones never"


def test_the_frame_of_a_row_stays():
    for rows, separators in ((single(), 1), (pairs(), 2)):
        for ids, types in zip(*(lambda e: (e.input_ids, e.token_type_ids))(change(rows))):
            assert ids[0] == CLS and ids[-1] == SEP and (ids == SEP).sum() == separators
            assert (np.diff(types) >= 0).all() and types[-1] == separators - 1
            assert len(ids) > 1 + separators, "each text keeps a word"


def test_some_pairs_are_paired_anew(monkeypatch: pytest.MonkeyPatch):
    for share in ("SWITCHED", "REPLACED", "DROPPED"):
        monkeypatch.setattr(augmentation, share, 0.0)
    rows = pairs(count=400)
    found = change(rows, copies=1)
    first = found.input_ids.ends[len(rows)]
    a, b = (x.reshape(400, -1) for x in (rows.input_ids.flat, found.input_ids.flat[first:]))
    assert (a[:, 1:9] == b[:, 1:9]).all()
    is_new = (a[:, 10:18] != b[:, 10:18]).any(axis=1)
    assert is_new.mean() == pytest.approx(augmentation.RE_PAIRED, abs=0.08)
    second_texts = {tuple(row) for row in a[:, 10:18].tolist()}
    assert all(tuple(row) in second_texts for row in b[:, 10:18].tolist())


def test_no_row_grows_beyond_the_limit():
    rng = np.random.default_rng(0)
    rows = encoded(
        [[CLS, *rng.choice(WORDS, a), SEP, *rng.choice(WORDS, 20 - a), SEP] for a in range(1, 20)]
    )
    found = change(rows, max_length=23, copies=20)
    assert found.lengths.max() <= 23


def test_a_preview_takes_the_rows_as_they_are():
    config = SimpleNamespace(
        prune=PruneConfig(sparsity=0.5, method="fast"), distill=DistillConfig(augment=5)
    )
    rows = single()
    assert imitated_rows(SimpleNamespace(config=config, splits={"train": rows})) is rows


def _files(folder: Path, extra: str) -> TaskConfig:
    (folder / "train.csv").write_text("text,label\na b,x\nc d,y\n", encoding="utf-8")
    (folder / "more.txt").write_text(extra, encoding="utf-8")
    names = {"train": "train.csv", "validation": "train.csv", "extra": "more.txt"}
    return TaskConfig(**{key: str(folder / name) for key, name in names.items()})


def test_extra_texts_are_a_split_without_labels(tmp_path: Path):
    config = _files(tmp_path, "e f\n\ng\n")
    task = with_extra(load_task(config), config)
    assert task.splits[EXTRA].texts == [("e f",), ("g",)] and task.splits[EXTRA].labels is None
    assert EXTRA in task.fingerprint and not task.can_score(EXTRA)


def test_extra_texts_have_the_columns_of_the_rows(tmp_path: Path):
    config = _files(tmp_path, "e f\n")
    pair = tmp_path / "pairs.csv"
    pair.write_text("first,second\na,b\n", encoding="utf-8")
    config = config.model_copy(update={"extra": str(pair), "text": ("first", "second")})
    with pytest.raises(CofiError, match="has 2 texts a row; the training rows"):
        with_extra(load_task(config.model_copy(update={"text": ()})), config)
