"""The tables: means over seeds, and scores by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import mean
from typing import Any

from runs import mean_interval

Json = dict[str, Any]
Results = dict[str, dict[str, dict[str, Json]]]
"""Task -> way -> seed -> row."""
WHOLE = ("dense", "pruned")
"""Ways that others are compared with: those whose names begin so."""
HEAD = """# Size

Made by `benchmarks/size/run.py`. Means over seeds, with 95 % intervals by Student's t. MB are 10^6
bytes of the folder that runs the model: graph, tokenizer and configuration. Scores are on the dev
rows, in points; `loss` is the whole model's score less this one's, seed by seed. `more tokens` is
the growth of held-out texts. Latency on two threads, of the seeds that
were timed. Empty cells were not measured.
"""


def render(results: Results) -> str:
    """Return results.md."""
    parts = [HEAD]
    for name, ways in results.items():
        parts.append(f"## {name}\n\n{_means(ways)}\n")
        if any(len(seeds) > 1 for seeds in ways.values()):
            parts.append(f"Scores by seed:\n\n{_by_seed(ways)}\n")
    return "\n".join(parts)


def _means(ways: Mapping[str, Mapping[str, Json]]) -> str:
    lines = [
        "| | seeds | MB | compressed | score | loss | more tokens | p50 ms, batch 1 and 32 "
        "| cold start s | memory MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for way, seeds in ways.items():
        rows = seeds.values()
        cells = [
            str(len(seeds)),
            _mean(rows, lambda row: row["bytes"] / 1e6, "{:.1f}"),
            _mean(rows, lambda row: row["compressed"] / 1e6, "{:.1f}"),
            _interval(row["score"] for row in rows),
            _interval(_losses(ways, way)),
            _mean(rows, _growth, "{:.1%}"),
            _both(rows),
            _mean(rows, lambda row: row.get("cold_start_seconds"), "{:.2f}"),
            _mean(rows, _memory, "{:.0f}"),
        ]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_seed(ways: Mapping[str, Mapping[str, Json]]) -> str:
    seeds = sorted({seed for rows in ways.values() for seed in rows})
    lines = [f"| | {' | '.join(seeds)} |", f"|---|{'---:|' * len(seeds)}"]
    for way, rows in ways.items():
        cells = [f"{rows[seed]['score']:.2f}" if seed in rows else "" for seed in seeds]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _losses(ways: Mapping[str, Mapping[str, Json]], way: str) -> list[float]:
    whole = next((whole for whole in WHOLE if way.startswith(f"{whole},")), "")
    known = ways.get(whole, {})
    return [known[seed]["score"] - row["score"] for seed, row in ways[way].items() if seed in known]


def _growth(row: Json) -> float | None:
    return None if row["vocabulary"] is None else row["vocabulary"]["held_out"]["growth"]


def _memory(row: Json) -> float | None:
    return row["peak_rss_bytes"] / 1e6 if "peak_rss_bytes" in row else None


def _both(rows: Iterable[Json]) -> str:
    batches = sorted({batch for row in rows for batch in row.get("p50_ms", {})}, key=int)
    times = [[row["p50_ms"][batch] for row in rows if "p50_ms" in row] for batch in batches]
    return " and ".join(f"{mean(known):.2f}" for known in times)


def _mean(rows: Iterable[Json], of: Callable[[Json], float | None], form: str) -> str:
    known = [value for row in rows if (value := of(row)) is not None]
    return form.format(mean(known)) if known else ""


def _interval(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return mean_interval(known) if known else ""
