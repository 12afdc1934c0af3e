"""What continuous integration reads: a summary in Markdown, and series for a chart over time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from cofi_cli.format import threads
from cofi_cli.report.report import conditions
from cofi_cli.report.tables import case_table, change_table, curve_table, gate_table, score_table
from cofi_cli.runs import write_json
from cofi_cli.runs.records import BenchResult, gate_error

logger = logging.getLogger(__name__)

Json = dict[str, Any]

SMALLER, BIGGER = "smaller-is-better.json", "bigger-is-better.json"
"""Named after the tools customSmallerIsBetter and customBiggerIsBetter that read them."""


def summary(bench: BenchResult, *, title: str) -> str:
    """Return the tables of a benchmark as Markdown, the verdict first."""
    failed = gate_error(bench.gates)
    parts = [f"## {title}"]
    if failed is not None:
        parts.append(f"**{failed.message}**")
    elif bench.gates:
        parts.append("All gates passed.")
    if (comparison := bench.comparison) is not None:
        notes = [*comparison.notes]
        notes += [f"Differs by its environment: {d}." for d in comparison.environment]
        if notes:
            parts.append("\n".join(f"- {note}" for note in notes))
    tables = (gate_table, curve_table, case_table, change_table, score_table)
    for table in (of(bench) for of in tables):
        if table.rows:
            parts += [f"### {table.title}", table.markdown()]
    parts.append(conditions(bench))
    return "\n\n".join(parts) + "\n"


def append_summary(path: Path, bench: BenchResult, *, title: str) -> None:
    """Add the summary to the file that ``GITHUB_STEP_SUMMARY`` names.

    In one write, after what other steps have put there. A summary that cannot be
    written costs no result: it is only warned of.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(summary(bench, title=title) + "\n")
    except OSError as error:
        logger.warning("No summary in %s: %s.", path, error.strerror or error)


def write_ci_files(folder: Path, bench: BenchResult) -> list[Path]:
    """Write both series of :func:`series`.

    Returns:
        The files, each written whole or not at all.

    Raises:
        CofiError: the folder is not writable (exit code 6).
    """
    files = [folder / SMALLER, folder / BIGGER]
    for file, figures in zip(files, series(bench), strict=True):
        write_json(file, figures)
    return files


def series(bench: BenchResult) -> tuple[list[Json], list[Json]]:
    """Return what github-action-benchmark charts: latencies; throughputs, speedups, scores.

    Names are made of model, case and figure, so that a series goes on from commit to
    commit; ``range`` is the spread of the runs or the speedup's interval.
    """
    env = bench.env
    where = f"{threads(env.threads)}, onnxruntime {env.onnxruntime}, {env.cpu}"
    smaller, bigger = [], []
    for row in bench.cases:
        name = f"{row.model} {row.case}"
        runs = [run for turn in row.samples_ms for run in turn]
        extra = f"{row.precision}, {row.runs} runs, {where}"
        percentiles = f"p90 {row.p90_ms:.4g} ms, p99 {row.p99_ms:.4g} ms"
        spread = f"± {np.std(runs):.3g}"
        smaller.append(
            _figure(f"{name} p50", "ms", row.p50_ms, f"{percentiles}, {extra}", spread=spread)
        )
        bigger.append(_figure(f"{name} throughput", "examples/s", row.throughput, extra))
    for speedup in bench.headline:
        if speedup.interval is None:
            continue
        low, high = speedup.interval
        name = f"{speedup.model} {speedup.case} speedup"
        extra = f"against {speedup.vs}, {speedup.precision}, {where}"
        bigger.append(_figure(name, "x", speedup.ratio, extra, spread=f"{low:.2f} to {high:.2f}"))
    for score in bench.scores:
        name, extra = f"{score.model} {score.metric}", f"{score.task}, {score.rows} rows"
        bigger.append(_figure(name, "points", score.score, extra))
    return smaller, bigger


def _figure(
    name: str, unit: str, value: float | None, extra: str, *, spread: str | None = None
) -> Json:
    own = {} if spread is None else {"range": spread}
    return {"name": name, "unit": unit, "value": value, **own, "extra": extra}
