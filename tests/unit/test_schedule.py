"""A schedule in steps, and the one that fits into a time."""

from types import SimpleNamespace

import numpy as np
import pytest

from cofi_cli.config import RunConfig
from cofi_cli.training.stages.schedule import Schedule
from cofi_cli.training.time_budget import Costs, estimate, fit

COSTS = Costs(teacher=0.0, answers=0.1, dense=1.0, pruned=0.2, recover=0.1, keeps_answers=True)


def session(rows: int = 320, dev: int = 32, **config: object) -> SimpleNamespace:
    splits = {"train": np.empty(rows), "validation": np.empty(dev)}
    return SimpleNamespace(
        config=RunConfig(model="m", **config),
        splits=splits,
        imitated=splits["train"],
        sizes=(SimpleNamespace(reduction=0.95),),
    )


@pytest.mark.parametrize(("ramp", "mean"), [("linear", 0.8), ("cubic", 0.5)])
def test_estimate_counts_each_stage_at_its_cost(ramp: str, mean: float):
    run = session(prune={"ramp": ramp})
    found = estimate(run, COSTS, Schedule(dense=10, ramp=20, prune=50, recover=30))
    assert found.teacher == 0 and found.outputs == pytest.approx(10 * 0.1)
    # Evaluations: 2 epochs at the target and 3 of recovery, of one batch each, a third of a step.
    assert found.prune == pytest.approx(10 * 1.0 + 20 * mean + 20 * 0.2 + 2 * 0.2 / 3)
    assert found.recover == pytest.approx(30 * 0.1 + 3 * 0.1 / 3)


def test_answers_that_are_not_kept_cost_at_each_step():
    kept = Schedule(dense=0, ramp=0, prune=10, recover=10)
    costs = Costs(**COSTS.as_dict() | {"keeps_answers": False})
    more = estimate(session(), costs, kept).total - estimate(session(), COSTS, kept).total
    assert more == pytest.approx(20 * 0.1 - 10 * 0.1)


@pytest.mark.parametrize("minutes", [0.5, 2.0, 20.0])
def test_a_schedule_fits_into_the_minutes(minutes: float):
    steps = Schedule(dense=10, ramp=20, prune=60, recover=60)
    found = fit(session(), COSTS, steps, minutes=minutes)
    assert estimate(session(), COSTS, found).total == pytest.approx(60 * minutes, rel=0.05)
    shares = np.array([found.dense, found.ramp, found.recover]) / found.prune
    assert shares == pytest.approx([1 / 6, 1 / 3, 1.0], rel=0.1)


def test_a_teacher_that_takes_all_the_time_leaves_a_third():
    costs = Costs(**COSTS.as_dict() | {"teacher": 100.0})
    found = fit(session(), costs, Schedule(1, 2, 6, 6), minutes=3)
    left = estimate(session(), costs, found)
    assert left.prune + left.recover == pytest.approx(60, rel=0.05)


def test_a_short_schedule_has_a_step_at_the_target():
    assert Schedule(dense=2, ramp=2, prune=5, recover=4).scaled(0.1) == Schedule(0, 0, 1, 0)
