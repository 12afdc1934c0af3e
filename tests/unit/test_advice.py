"""What a report advises where pruning lost points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cofi_cli.tasks.kinds import KINDS
from cofi_cli.training.outcome import advice as module
from cofi_cli.training.outcome.advice import GENERALISES, LOST, ROWS, Adviser, advice


def test_a_model_that_follows_on_training_rows_alone_needs_rows() -> None:
    said = advice(lost=4.0, train=99.1, validation=99.1 - GENERALISES - 0.1)
    assert "99.1 %" in said
    assert "--extra" in said


def test_a_model_that_does_not_follow_on_training_rows_needs_time_or_weights() -> None:
    said = advice(lost=4.0, train=85.0, validation=84.0)
    assert "--minutes" in said
    assert "--sparsity" in said
    assert "--extra" not in said


def test_a_gap_smaller_than_what_training_rows_lack_asks_for_time() -> None:
    assert "--minutes" in advice(lost=4.0, train=80.7, validation=76.7)
    assert "--extra" in advice(lost=4.0, train=85.7, validation=63.7)


class Rows:
    """A split whose rows are their own numbers."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def inputs(self, rows: list[int]) -> tuple[str, list[int]]:
        return self.name, rows


def test_models_are_compared_on_both_splits_and_the_teacher_answers_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []

    def answers(_: object, model: Any, rows: tuple[str, list[int]]) -> np.ndarray:
        name, numbers = rows
        asked.append((model.name, name))
        assert len(numbers) == len(set(numbers)) == min(ROWS, session.splits[name].count)
        assert numbers[0] == 0 and numbers[-1] == session.splits[name].count - 1
        wrong = np.arange(len(numbers)) % 4 == 0  # a quarter of the validation rows
        said = (wrong & (model.name == "model") & (name == "validation")).astype(int)
        return np.eye(2)[said]

    monkeypatch.setattr(module, "answers", answers)
    session: Any = SimpleNamespace(
        splits={"train": Rows("train", 5000), "validation": Rows("validation", 400)},
        task=SimpleNamespace(kind=KINDS["classification"]),
    )
    teacher, model = (SimpleNamespace(name=name) for name in ("teacher", "model"))
    adviser = Adviser(session, teacher)  # type: ignore[arg-type]
    assert adviser.advise(model, lost=LOST - 0.1) is None and not asked  # type: ignore[arg-type]
    for _ in range(2):
        said = adviser.advise(model, lost=4.0)  # type: ignore[arg-type]
        assert said is not None and "100.0 % on training rows" in said
        assert "75.0 % on validation rows" in said and "--extra" in said
    assert asked.count(("teacher", "train")) == asked.count(("teacher", "validation")) == 1
    assert asked.count(("model", "validation")) == 2
