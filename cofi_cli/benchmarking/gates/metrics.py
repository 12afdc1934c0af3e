"""What can be compared between two results: names, units, and where bench.json holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cofi_cli.runtime.statistics import Statistic

Json = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """One figure of a model.

    Attributes:
        name: as users write it.
        unit: of absolute changes, and of what is shown.
        section: list of bench.json whose rows hold it.
        key: of the row.
        scale: the row's value times this is in ``unit``.
        statistic: of the raw samples, where there are any.
        over_cases: whether it is the largest value over all cases of a result.
        more_is_better: whether a higher value is the better one.
    """

    name: str
    unit: str
    section: Literal["cases", "speedups", "models", "scores"]
    key: str
    scale: float = 1.0
    statistic: Statistic | None = None
    over_cases: bool = False
    more_is_better: bool = False

    @property
    def per_case(self) -> bool:
        """Whether every case has its own value, rather than every model one."""
        return self.section in ("cases", "speedups")

    def values(self, bench: Json) -> Iterator[tuple[str, str | None, float]]:
        """Yield model, case (``None`` for all) and value in :attr:`unit`, where there is one."""
        for row in bench.get(self.section) or []:
            value = row.get(self.key)
            if value is not None:
                model = row["name"] if self.section == "models" else row["model"]
                yield model, row["case"] if self.per_case else None, value * self.scale


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("p50", "ms", "cases", "p50_ms", statistic="p50"),
        Measure("p90", "ms", "cases", "p90_ms", statistic="p90"),
        Measure("p99", "ms", "cases", "p99_ms", statistic="p99"),
        Measure("mean", "ms", "cases", "mean_ms", statistic="mean"),
        Measure(
            "throughput",
            "examples/s",
            "cases",
            "throughput",
            statistic="mean",
            more_is_better=True,
        ),
        Measure("speedup", "x", "speedups", "ratio", more_is_better=True),
        Measure("score", "points", "scores", "score", more_is_better=True),
        Measure("memory", "MB", "models", "peak_rss_bytes", scale=1e-6, over_cases=True),
        Measure("cold-start", "s", "models", "cold_start_seconds"),
        Measure("size", "MB", "models", "bytes", scale=1e-6),
    )
}
"""Everything that ``--fail-if`` knows."""
