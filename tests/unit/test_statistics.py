import numpy as np
import pytest

from cofi_cli.runtime.statistics import speedup, summarize


def test_summary_of_known_samples():
    summary = summarize([[float(i) for i in range(1, 51)], [float(i) for i in range(51, 102)]])
    assert summary.runs == 101
    assert (summary.p50, summary.p90, summary.p99, summary.mean) == (51, 91, 100, 51)


def test_no_runs_have_no_summary():
    with pytest.raises(ValueError, match="no runs"):
        summarize([[], []])


def test_constant_samples_give_the_exact_ratio_and_no_width():
    found = speedup([[2.0, 2.0]] * 5, [[0.5, 0.5]] * 5)
    assert (found.ratio, found.low, found.high, found.verdict) == (4, 4, 4, "faster")


def test_the_slower_model_is_called_slower():
    assert speedup([[1.0]] * 4, [[2.0]] * 4).verdict == "slower"


def test_equal_input_gives_an_equal_interval():
    turns = np.random.default_rng(0).uniform(1, 2, size=(6, 4)).tolist()
    assert speedup(turns, turns[::-1]) == speedup(turns, turns[::-1])


def test_turns_must_pair_up():
    with pytest.raises(ValueError, match="turns differ: 2 of the baseline, 3 of the model"):
        speedup([[1.0]] * 2, [[1.0]] * 3)


def test_two_equal_models_are_mostly_told_equal_though_the_machine_drifts():
    """Runs of a turn share its speed. An interval that took them as independent would be
    several times too narrow, and find a difference between a model and itself."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(40):
        moods = rng.lognormal(0, 0.1, size=(2, 10, 1))
        a, b = moods * rng.lognormal(0, 0.01, size=(2, 10, 5))
        found += speedup(a.tolist(), b.tolist()).verdict != "none"
    assert found <= 6


def test_drift_that_both_share_does_not_hide_a_difference():
    rng = np.random.default_rng(2)
    moods = rng.lognormal(0, 0.02, size=(10, 1))
    a = 1.2 * moods * rng.lognormal(0, 0.01, size=(10, 5))
    b = moods * rng.lognormal(0, 0.01, size=(10, 5))
    found = speedup(a.tolist(), b.tolist())
    assert found.verdict == "faster"
    assert found.low < 1.2 < found.high
