"""What can be compared between two results: names, units, and where a result holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from cofi_cli.runs.records import BenchResult, CaseRow, ModelRow
from cofi_cli.runtime.statistics import Statistic

Figure = tuple[str, str | None, float]
"""Model, case (``None`` for all), and value."""


@dataclass(frozen=True)
class Measure:
    """One figure of a model.

    Attributes:
        name: as users write it.
        unit: of its values, and of absolute changes.
        section: list of bench.json whose rows hold it.
        values: yields it for each model and case of a result.
        statistic: of the raw samples, where there are any.
        over_cases: whether it is the largest value over all cases of a result.
        more_is_better: whether a higher value is the better one.
        is_part: whether it is a score of a part of the rows.
    """

    name: str
    unit: str
    section: Literal["cases", "speedups", "models", "scores"]
    values: Callable[[BenchResult], Iterator[Figure]]
    statistic: Statistic | None = None
    over_cases: bool = False
    more_is_better: bool = False
    is_part: bool = False

    @property
    def per_case(self) -> bool:
        """Whether every case has its own value, rather than every model one."""
        return self.section in ("cases", "speedups")


def _latency(
    name: str,
    unit: str,
    of: Callable[[CaseRow], float],
    statistic: Statistic,
    *,
    more_is_better: bool = False,
) -> Measure:
    def values(result: BenchResult) -> Iterator[Figure]:
        return ((row.model, row.case, of(row)) for row in result.cases)

    return Measure(name, unit, "cases", values, statistic, more_is_better=more_is_better)


def _of_model(
    name: str, unit: str, of: Callable[[ModelRow], float], *, over_cases: bool = False
) -> Measure:
    def values(result: BenchResult) -> Iterator[Figure]:
        return ((row.name, None, of(row)) for row in result.models)

    return Measure(name, unit, "models", values, over_cases=over_cases)


def _speedups(result: BenchResult) -> Iterator[Figure]:
    return ((row.model, row.case, row.ratio) for row in result.speedups)


def _scores(result: BenchResult) -> Iterator[Figure]:
    return ((row.model, None, row.score) for row in result.scores)


def part_measure(part: str) -> Measure:
    """Return the measure of a part of the rows, such as ``recall[PII]``."""

    def values(result: BenchResult) -> Iterator[Figure]:
        rows = (row for row in result.scores if part in row.parts)
        return ((row.model, None, row.parts[part].score) for row in rows)

    return Measure(part, "points", "scores", values, more_is_better=True, is_part=True)


MEASURES = {
    measure.name: measure
    for measure in (
        _latency("p50", "ms", lambda row: row.p50_ms, "p50"),
        _latency("p90", "ms", lambda row: row.p90_ms, "p90"),
        _latency("p99", "ms", lambda row: row.p99_ms, "p99"),
        _latency("mean", "ms", lambda row: row.mean_ms, "mean"),
        _latency(
            "throughput", "examples/s", lambda row: row.throughput, "mean", more_is_better=True
        ),
        Measure("speedup", "x", "speedups", _speedups, more_is_better=True),
        Measure("score", "points", "scores", _scores, more_is_better=True),
        _of_model("memory", "MB", lambda row: row.peak_rss_bytes * 1e-6, over_cases=True),
        _of_model("cold-start", "s", lambda row: row.cold_start_seconds),
        _of_model("size", "MB", lambda row: row.bytes * 1e-6),
    )
}
"""What ``--fail-if`` knows beside parts of the rows."""
