"""What can be compared between two results: names, units, and where a result holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cofi_cli.runs.records import BenchResult, ScoreRow
from cofi_cli.runtime.statistics import Statistic


@dataclass(frozen=True)
class Measure:
    """One figure of a model.

    Attributes:
        name: as users write it.
        unit: of its values, and of absolute changes.
        section: list of bench.json whose rows hold it.
        of: takes it from such a row; ``None`` where the row has none.
        statistic: of the raw samples, where there are any.
        over_cases: whether it is the largest value over all cases of a result.
        is_part: whether it is a score of a part of the rows.
    """

    name: str
    unit: str
    section: Literal["cases", "speedups", "models", "scores"]
    of: Callable[[Any], float | None]
    statistic: Statistic | None = None
    over_cases: bool = False
    is_part: bool = False

    @property
    def per_case(self) -> bool:
        """Whether every case has its own value, rather than every model one."""
        return self.section in ("cases", "speedups")

    def values(self, result: BenchResult) -> Iterator[tuple[str, str | None, float]]:
        """Yield model, case (``None`` for all) and value of each row of a result that has one."""
        for row in getattr(result, self.section):
            if (value := self.of(row)) is not None:
                model = row.name if self.section == "models" else row.model
                yield model, row.case if self.per_case else None, value


def part_measure(part: str) -> Measure:
    """Return the measure of a part of the rows, such as ``recall[PII]``."""

    def score(row: ScoreRow) -> float | None:
        return row.parts[part].score if part in row.parts else None

    return Measure(part, "points", "scores", score, is_part=True)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("p50", "ms", "cases", lambda row: row.p50_ms, "p50"),
        Measure("p90", "ms", "cases", lambda row: row.p90_ms, "p90"),
        Measure("p99", "ms", "cases", lambda row: row.p99_ms, "p99"),
        Measure("mean", "ms", "cases", lambda row: row.mean_ms, "mean"),
        Measure("throughput", "examples/s", "cases", lambda row: row.throughput, "mean"),
        Measure("speedup", "x", "speedups", lambda row: row.ratio),
        Measure("score", "points", "scores", lambda row: row.score),
        Measure("memory", "MB", "models", lambda row: row.peak_rss_bytes * 1e-6, over_cases=True),
        Measure("cold-start", "s", "models", lambda row: row.cold_start_seconds),
        Measure("size", "MB", "models", lambda row: row.bytes * 1e-6),
    )
}
"""What ``--fail-if`` knows beside parts of the rows."""
