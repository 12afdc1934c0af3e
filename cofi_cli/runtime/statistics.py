"""Statistics of latencies: summaries, and a speedup with its interval. All in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Turns = Sequence[Sequence[float]]
"""Seconds of each run, one inner sequence per turn of the model."""

Statistic = Literal["p50", "p90", "p99", "mean"]

SEED = 0
"""Of the resampling: equal input gives an equal interval."""
RESAMPLES = 2000
CONFIDENCE = 0.95
_CELLS = 2_000_000
"""Runs that are resampled at once: tens of megabytes, however many were timed."""

_PERCENT = {"p50": 50.0, "p90": 90.0, "p99": 99.0}


@dataclass(frozen=True)
class Summary:
    """Percentiles and mean of a latency; seconds."""

    runs: int
    p50: float
    p90: float
    p99: float
    mean: float


@dataclass(frozen=True)
class Ratio:
    """Ratio of a statistic of two measurements, and the ends of its interval.

    As a speedup it is baseline over model: above 1 the model is the faster one. As a change it is
    after over before: 1.05 is 5 % more seconds.
    """

    ratio: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds 1: the two cannot be told apart."""
        return self.low <= 1 <= self.high

    @property
    def verdict(self) -> Literal["faster", "slower", "none"]:
        """What a speedup says of the model; ``none`` where it is noise."""
        if self.is_noise:
            return "none"
        return "faster" if self.low > 1 else "slower"


def summarize(turns: Turns) -> Summary:
    """Summarise all runs of all turns.

    Raises:
        ValueError: there is no run.
    """
    samples = _flat(turns)
    p50, p90, p99 = (float(v) for v in np.percentile(samples, (50, 90, 99)))
    return Summary(len(samples), p50, p90, p99, float(samples.mean()))


def speedup(baseline: Turns, model: Turns) -> Ratio:
    """Return the ratio of medians with a bootstrap percentile interval.

    Runs of one turn share the machine's mood (clock, neighbours), so single
    runs are not independent. The bootstrap therefore has two levels: turns are
    drawn first, the same ones for both models, since turn ``i`` of one ran next
    to turn ``i`` of the other; then runs within each drawn turn.

    Args:
        baseline: its turns; at least one run each.
        model: its turns, as many as the baseline's.
    """
    if len(baseline) != len(model):
        raise ValueError(
            f"turns differ: {len(baseline)} of the baseline, {len(model)} of the model"
        )
    ratio, ratios = _speedups(baseline, model, np.random.default_rng(SEED))
    return Ratio(ratio, *_interval(ratios, ratio))


def speedup_change(before: tuple[Turns, Turns], after: tuple[Turns, Turns]) -> Ratio:
    """Return the ratio of two speedups, with its interval.

    Each was measured beside the baseline of its own session, so that what slowed both
    models of a session down is in neither.

    Args:
        before: turns of baseline and model in the earlier session.
        after: those in the later one.
    """
    rng = np.random.default_rng(SEED)
    (now, all_now), (then, all_then) = _speedups(*after, rng), _speedups(*before, rng)
    return Ratio(now / then, *_interval(all_now / all_then, now / then))


def _speedups(baseline: Turns, model: Turns, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return the ratio of medians, and that of each resample, (resamples,)."""
    drawn = rng.integers(len(baseline), size=(RESAMPLES, len(baseline)))
    ratios = _resampled(baseline, drawn, "p50", rng) / _resampled(model, drawn, "p50", rng)
    return float(np.median(_flat(baseline)) / np.median(_flat(model))), ratios


def change(before: Turns, after: Turns, statistic: Statistic) -> Ratio:
    """Return the ratio of a statistic between two measurements, with its interval.

    Like :func:`speedup`, but the two were measured at different times: their
    turns do not pair up, are drawn apart, and may differ in number.

    Args:
        before: turns of the earlier measurement; at least one run each.
        after: turns of the later one.
        statistic: of all runs of all turns.
    """
    rng = np.random.default_rng(SEED)
    then, now = (getattr(summarize(turns), statistic) for turns in (before, after))
    both = []
    for turns in (after, before):
        drawn = rng.integers(len(turns), size=(RESAMPLES, len(turns)))
        both.append(_resampled(turns, drawn, statistic, rng))
    return Ratio(now / then, *_interval(both[0] / both[1], now / then))


def _interval(ratios: np.ndarray, ratio: float) -> tuple[float, float]:
    """Return the percentile interval; the ratio itself is never outside of it."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = (float(v) for v in np.percentile(ratios, (tail, 100 - tail)))
    return min(low, ratio), max(high, ratio)


def _resampled(
    turns: Turns, drawn: np.ndarray, statistic: Statistic, rng: np.random.Generator
) -> np.ndarray:
    """Return the statistic of each resample, (resamples,), for turns drawn, (resamples, turns)."""
    counts = np.asarray([len(turn) for turn in turns])
    table = np.full((len(turns), counts.max()), np.inf)
    for row, turn in zip(table, turns, strict=True):
        row[: len(turn)] = turn
    at_once = max(1, _CELLS // table.size)
    parts = [drawn[start : start + at_once] for start in range(0, len(drawn), at_once)]
    return np.concatenate([_statistics(table, counts, part, statistic, rng) for part in parts])


def _statistics(
    table: np.ndarray,
    counts: np.ndarray,
    drawn: np.ndarray,
    statistic: Statistic,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw runs within the turns drawn, (resamples, turns), and reduce each resample.

    Args:
        table: seconds, (turns, most runs of a turn), infinite past a turn's own runs.
        counts: runs of each turn, (turns,).
        drawn: which turns, (resamples, turns).
        statistic: of the runs of a resample.
        rng: draws the runs.
    """
    sizes = counts[drawn][..., None]
    places = np.arange(counts.max())
    picked = (rng.random((*drawn.shape, counts.max())) * sizes).astype(np.int64)
    is_there = places < sizes
    runs = np.where(is_there, table[drawn[..., None], picked], np.inf)
    total, every = sizes.sum(axis=(1, 2)), np.arange(len(drawn))
    if statistic == "mean":
        means: np.ndarray = np.where(is_there, runs, 0.0).sum(axis=(1, 2)) / total
        return means
    ordered = np.sort(runs.reshape(len(drawn), -1), axis=1)  # what is missing comes last
    place = _PERCENT[statistic] / 100 * (total - 1)
    below = np.floor(place).astype(np.int64)
    low, high = ordered[every, below], ordered[every, np.minimum(below + 1, total - 1)]
    values: np.ndarray = low + (place - below) * (high - low)
    return values


def _flat(turns: Turns) -> np.ndarray:
    samples = np.asarray([run for turn in turns for run in turn], dtype=np.float64)
    if not len(samples):
        raise ValueError("no runs to summarise")
    return samples
