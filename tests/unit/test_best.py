"""Which state of a stage is kept: the best, or the latest that is level with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from cofi_cli.tasks.metrics.jackknife import kept_units
from cofi_cli.training.stages.best import Best

RIGHT = np.random.default_rng(0).random(400) < 0.8
"""Which rows the first state answers right."""


def without(*, lost: int = 0, gained: int = 0) -> tuple[float, list[float]]:
    """Return the score, and those without each group, of a state that differs in some rows."""
    own = RIGHT.copy()
    own[np.flatnonzero(RIGHT)[:lost]] = False
    own[np.flatnonzero(~RIGHT)[:gained]] = True
    return float(100 * own.mean()), [float(100 * own[kept].mean()) for kept in kept_units(len(own))]


def offer(best: Best, step: int, *, lost: int = 0, gained: int = 0) -> bool:
    score, groups = without(lost=lost, gained=gained)
    return best.offer(score, step, nn.Linear(1, 1), without=groups)


@pytest.mark.parametrize(("tolerance", "is_kept"), [(0.0, False), (0.5, True)])
def test_a_later_level_state_takes_the_place_of_the_best(
    tolerance: float, is_kept: bool, tmp_path: Path
) -> None:
    """Nine rows lost and eight gained: a quarter of a point, whose standard error is one."""
    best = Best(tmp_path / "best.pt", tolerance=tolerance)
    assert offer(best, 1)
    assert offer(best, 2, lost=9, gained=8) == is_kept
    assert best.load()["step"] == (2 if is_kept else 1)
    assert (best.score, best.step) == (without()[0], 1), "what others are held against"


def test_a_worse_state_is_not_level(tmp_path: Path) -> None:
    best = Best(tmp_path / "best.pt", tolerance=0.5)
    assert offer(best, 1) and not offer(best, 2, lost=9)
    assert best.load()["step"] == 1


def test_steps_down_do_not_add_up(tmp_path: Path) -> None:
    """Each state is held against the best one, and not against the one that is kept."""
    best = Best(tmp_path / "best.pt", tolerance=0.5)
    assert offer(best, 1) and offer(best, 2, lost=9, gained=8)
    assert not offer(best, 3, lost=18, gained=8)
    resumed = Best(tmp_path / "best.pt", tolerance=0.5)
    resumed.load_from(best.state())
    assert not offer(resumed, 4, lost=18, gained=8) and offer(resumed, 5, lost=8, gained=7)
    assert offer(resumed, 6, gained=1) and resumed.step == 6


def test_without_groups_only_a_better_one_is_kept(tmp_path: Path) -> None:
    best = Best(tmp_path / "best.pt", tolerance=0.5)
    assert best.offer(80.0, 1, nn.Linear(1, 1))
    assert not best.offer(80.0, 2, nn.Linear(1, 1)) and best.offer(80.1, 3, nn.Linear(1, 1))
