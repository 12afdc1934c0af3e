"""Statistics of latencies: summaries, and a speedup with its interval. All in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Turns = Sequence[Sequence[float]]
"""Seconds of each run, one inner sequence per turn of the model."""

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """What a deployer asks of a latency; seconds."""

    runs: int
    p50: float
    p90: float
    p99: float
    mean: float


@dataclass(frozen=True)
class Speedup:
    """Ratio of medians, baseline over model: above 1 the model is the faster one."""

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> Literal["faster", "slower", "none"]:
        """``none`` when the interval holds 1: the two cannot be told apart."""
        if self.low > 1:
            return "faster"
        return "slower" if self.high < 1 else "none"


def summarize(turns: Turns) -> Summary:
    """Summarise all runs of all turns.

    Raises:
        ValueError: there is no run.
    """
    samples = _flat(turns)
    p50, p90, p99 = (float(v) for v in np.percentile(samples, (50, 90, 99)))
    return Summary(len(samples), p50, p90, p99, float(samples.mean()))


def speedup(baseline: Turns, model: Turns, *, seed: int = 0) -> Speedup:
    """Return the ratio of medians with a bootstrap percentile interval.

    Runs of one turn share the machine's mood (clock, neighbours), so single
    runs are not independent. The bootstrap therefore has two levels: turns are
    drawn first, the same ones for both models, since turn ``i`` of one ran next
    to turn ``i`` of the other; then runs within each drawn turn.

    Args:
        baseline: its turns; at least one run each.
        model: its turns, as many as the baseline's.
        seed: of the resampling; equal input gives an equal interval.
    """
    if len(baseline) != len(model):
        raise ValueError(
            f"turns differ: {len(baseline)} of the baseline, {len(model)} of the model"
        )
    rng = np.random.default_rng(seed)
    ratio = float(np.median(_flat(baseline)) / np.median(_flat(model)))
    drawn = rng.integers(len(baseline), size=(RESAMPLES, len(baseline)))
    ratios = _resampled_medians(baseline, drawn, rng) / _resampled_medians(model, drawn, rng)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = (float(v) for v in np.percentile(ratios, (tail, 100 - tail)))
    return Speedup(ratio, min(low, ratio), max(high, ratio))


def _resampled_medians(turns: Turns, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the median of each resample, (resamples,), for turns drawn, (resamples, turns)."""
    counts = np.asarray([len(turn) for turn in turns])
    table = np.full((len(turns), counts.max()), np.inf)
    for row, turn in zip(table, turns, strict=True):
        row[: len(turn)] = turn
    sizes = counts[drawn][..., None]
    places = np.arange(counts.max())
    picked = (rng.random((*drawn.shape, counts.max())) * sizes).astype(np.int64)
    runs = np.where(places < sizes, table[drawn[..., None], picked], np.inf)
    ordered = np.sort(runs.reshape(len(drawn), -1), axis=1)  # what is missing comes last
    total, every = sizes.sum(axis=(1, 2)), np.arange(len(drawn))
    medians: np.ndarray = (ordered[every, (total - 1) // 2] + ordered[every, total // 2]) / 2
    return medians


def _flat(turns: Turns) -> np.ndarray:
    samples = np.asarray([run for turn in turns for run in turn], dtype=np.float64)
    if not len(samples):
        raise ValueError("no runs to summarise")
    return samples
