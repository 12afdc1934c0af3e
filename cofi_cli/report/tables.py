"""The tables of a run, as plain cells, from report.json and bench.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cofi_cli import format as text
from cofi_cli.format import MISSING, Table
from cofi_cli.runs.records import (
    DENSE,
    EXACT,
    MODEL,
    BenchResult,
    CaseRow,
    HeadlineRow,
    RunReport,
    SizeRow,
    UnmeasuredRow,
)
from cofi_cli.runs.records.gates import ChangeGate


def summary_table(report: RunReport, bench: BenchResult | None = None) -> Table:
    """Teacher against compact model: score, weights, bytes, latency, speedup.

    Of a fine-tuned model: before against after.
    """
    teacher, model, metric = report.teacher, report.model, report.metric
    first = report.before
    if teacher is not None:
        first = teacher.scores.get("validation", {}) | {metric: teacher.score}
    last = {metric: model.score} | model.scores.get("validation", {}) | {metric: model.score}
    rows = [
        _score_row(
            f"{_named(name)} (dev, points)",
            first,
            last,
            name,
            error=report.standard_error if name == metric else None,
        )
        for name in last
    ]
    if (tested := model.scores.get("test")) is not None:
        known = None if teacher is None else teacher.scores.get("test")
        rows.append(_score_row(f"{_named(metric)} (test, points)", known, tested, metric))
    for what, other in (
        ("one answer to all rows", report.constant),
        ("word vectors alone", report.baseline),
    ):
        if other is not None:
            rows.append((f"  {metric} of {what}", "", text.number(other.score), ""))
    for label, big, small in (
        ("encoder weights", teacher.encoder_params if teacher else None, model.encoder_params),
        ("all weights", teacher.total_params if teacher else None, model.total_params),
    ):
        rows.append((label, text.count(big), text.count(small), _change(big, small, "fewer")))
    big, small = teacher.bytes if teacher else None, model.bytes
    rows.append(("file", text.size(big), text.size(small), _change(big, small, "smaller")))
    rows += _latency_rows(bench, report.chosen.name if report.chosen else None)
    if teacher is None:
        return Table("Before and after", ("", "before", "after", "change"), tuple(rows))
    columns = ("", "teacher", "compact", "change")
    return Table("Teacher against compact model", columns, tuple(rows))


def size_table(report: RunReport) -> Table:
    """Score against size and speed, a row for each size of a run; empty where there is one."""
    rows, teacher = report.sizes, report.teacher
    chosen = report.chosen.name if report.chosen else None
    has_speed = any(row.expected_speedup is not None for row in rows)
    has_error = any(row.standard_error is not None for row in rows)
    score, weights = (teacher.score, teacher.encoder_params) if teacher else (None, None)
    # A column's name, the teacher's cell, that of a size, and whether it is shown.
    columns: list[tuple[str, str, Callable[[SizeRow], str], bool]] = [
        ("size", "teacher", lambda row: row.name, True),
        (report.metric, text.number(score), lambda row: text.number(row.score), True),
        ("drop", MISSING, lambda row: text.number(row.drop), True),
        ("standard error", MISSING, lambda row: text.number(row.standard_error), has_error),
        ("encoder weights", text.count(weights), lambda row: text.count(row.encoder_params), True),
        ("speedup expected", "1", lambda row: text.number(row.expected_speedup), has_speed),
        ("measured", MISSING, lambda row: text.number(row.measured_speedup), has_speed),
        ("", "", lambda row: "chosen" if row.name == chosen else "", True),
    ]
    names, teachers, cells, _ = zip(*(own for own in columns if own[-1]), strict=True)
    sizes = (tuple(cell(row) for cell in cells) for row in rows)
    return Table("Sizes", names, (teachers, *sizes) if rows else ())


def stage_table(report: RunReport) -> Table:
    """Time and speed of each stage."""
    rows = [
        (
            name,
            text.duration(stage.seconds),
            text.number(stage.examples_per_second, 0),
            text.number(stage.examples, 0),
            text.number(stage.steps, 0),
        )
        for name, stage in report.stages.items()
    ]
    columns = ("stage", "time", "examples/s", "examples", "steps")
    return Table("Stages", columns, tuple(rows))


def case_table(bench: BenchResult) -> Table:
    """Latency of every model in every case, with its speedup at equal precision.

    Where that says less than the whole, a last column has the product of pruning,
    precision and runtime: the speedup over the baseline.
    """
    products = {(row.model, row.case): row for row in bench.speedups}
    equal = {(row.model, row.case): row for row in bench.headline}
    references = {row.vs for row in equal.values()} | {bench.baseline}
    has_product = any(row.vs != bench.baseline for row in equal.values()) or not set(
        products
    ) <= set(equal)
    rows = []
    for case in bench.cases:
        of = equal.get((case.model, case.case))
        is_reference = case.model in references and of is None
        cells = [
            case.model,
            case.precision,
            str(case.batch),
            _length(case),
            *(text.milliseconds(ms) for ms in (case.p50_ms, case.p90_ms, case.p99_ms)),
            text.number(case.throughput, 1),
            str(case.runs),
            "baseline" if is_reference else _equal(of, case.precision),
        ]
        if has_product:
            row = products.get((case.model, case.case))
            own = MISSING if row is None else text.speedup(row.ratio, row.interval, row.verdict)
            cells.append("1" if case.model == bench.baseline else own)
        rows.append(tuple(cells))
    for gone in bench.unmeasured:
        cells = ["all", MISSING, str(gone.batch), _length(gone), *[MISSING] * 5, gone.reason]
        rows.append((*cells, MISSING) if has_product else tuple(cells))
    columns = ("model", "precision", "batch", "length", "p50 ms", "p90 ms", "p99 ms")
    more = ("examples/s", "runs", "speedup (95 % interval)")
    last = (f"all, against {bench.baseline}",) if has_product else ()
    return Table("Latency", (*columns, *more, *last), tuple(rows))


def score_table(bench: BenchResult) -> Table:
    """Score, size, memory and cold start of each model."""
    scores = {row.model: row for row in bench.scores}
    rows = []
    for model in bench.models:
        score = scores.get(model.name)
        rows.append(
            (
                model.name,
                text.metric(score),
                text.number(score.score if score else None),
                text.size(model.shipped_bytes),
                text.size(model.download_bytes),
                text.size(model.peak_rss_bytes),
                text.number(model.load_seconds, 2),
                text.number(model.cold_start_seconds, 2),
            )
        )
    columns = ("model", "metric", "score", "size", "download", "peak memory")
    return Table("Models", (*columns, "load s", "cold start s"), tuple(rows))


def curve_table(bench: BenchResult) -> Table:
    """Score against latency, a row for each size and precision; empty where there is no curve."""
    curve = bench.curve
    points = curve.points if curve is not None else []
    cases = list(dict.fromkeys(point.case for point in points))
    rows = []
    for model in dict.fromkeys(point.model for point in points):
        own = {point.case: point for point in points if point.model == model}
        first = next(iter(own.values()))
        cells = [first.size, first.precision, text.number(first.score)]
        for case in cases:
            point = own.get(case)
            cells.append(text.milliseconds(point.p50_ms if point else None))
            cells.append(f"{point.speedup:.2f}x" if point and point.speedup else MISSING)
        rows.append(tuple(cells))
    if curve is not None and curve.word_vectors is not None:
        gaps = [MISSING] * 2 * len(cases)
        rows.append(("word vectors alone", MISSING, text.number(curve.word_vectors), *gaps))
    columns = ["size", "precision", curve.metric if curve else "score"]
    for case in cases:
        columns += [f"{case}: p50 ms", "speedup"]
    return Table("Score against latency", tuple(columns), tuple(rows))


def gate_table(bench: BenchResult) -> Table:
    """What was demanded and what was found."""
    rows = tuple(
        (
            gate.label,
            gate.shown_threshold,
            text.number(gate.value),
            "passed" if gate.passed else gate.verdict.upper(),
            gate.describe(),
        )
        for gate in bench.gates
    )
    return Table("Gates", ("gate", "threshold", "value", "result", "found"), rows)


def change_table(bench: BenchResult) -> Table:
    """Return what changed: medians, speedups, all that has no case, and what was judged."""
    judged = {gate.metric for gate in bench.gates if isinstance(gate, ChangeGate)}
    rows = []
    for row in bench.comparison.rows if bench.comparison else []:
        if row.case is not None and row.metric not in {"p50", "speedup", *judged}:
            continue
        ratio, interval = row.ratio, row.interval
        rows.append(
            (
                f"{row.model} {row.case}" if row.case else row.model,
                f"{row.metric} ({row.unit})",
                *(f"{value:.4g}" for value in (row.before, row.after)),
                MISSING if ratio is None else f"{100 * (ratio - 1):+.1f} %",
                MISSING if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
                "noise" if row.noise else "",
            )
        )
    columns = ("model", "figure", "before", "now", "change", "ratio (95 % interval)", "")
    file = bench.comparison.file if bench.comparison else "an earlier result"
    return Table(f"Against {file}", columns, tuple(rows))


def _length(case: CaseRow | UnmeasuredRow) -> str:
    if case.seq_len != "task":
        return str(case.seq_len)
    mean = case.mean_length if isinstance(case, CaseRow) else None
    return "task's" if mean is None else f"task's, {mean:.0f} padded"


def _equal(of: HeadlineRow | None, precision: str) -> str:
    """Show a headline row; one without a dense model of its precision says so."""
    if of is None:
        return MISSING
    if of.ratio is None or of.interval is None or of.verdict is None:
        return f"no dense {precision}"
    return text.speedup(of.ratio, of.interval, of.verdict)


def _score_row(
    label: str,
    first: Mapping[str, float] | None,
    last: Mapping[str, float],
    metric: str,
    *,
    error: float | None = None,
) -> tuple[str, ...]:
    """Return a row of a metric's points in two sets of scores, with the error of their change."""
    before, after = (first or {}).get(metric), last.get(metric)
    change = MISSING if before is None or after is None else f"{after - before:+.2f}"
    if error is not None:
        change += f" (standard error {error:.2f})"
    return (label, text.number(before), text.number(after), change)


def _named(metric: str) -> str:
    return f"{metric} with the teacher" if metric == "agreement" else metric


def _change(big: float | None, small: float | None, word: str) -> str:
    return f"{text.factor(big, small)} {word}" if big and small else MISSING


def _latency_rows(bench: BenchResult | None, chosen: str | None) -> list[tuple[str, ...]]:
    """A row per case and precision: the run's dense and its compact (chosen) ONNX file."""
    if bench is None:
        return []
    cases = {(row.model, row.case): row for row in bench.cases}
    sizes = {row.name: row.size for row in bench.models if row.of in (None, chosen)}
    rows: list[tuple[str, ...]] = []
    for row in bench.headline:
        if row.vs is None or (sizes.get(row.model), sizes.get(row.vs)) != (MODEL, DENSE):
            continue
        dense, own = cases[row.vs, row.case], cases[row.model, row.case]
        if own.runtime == "torch":
            continue
        precision = "" if own.precision == EXACT else f" {own.precision}"
        length = "the task's" if row.seq_len == "task" else row.seq_len
        label = f"ONNX{precision}, batch {row.batch}, length {length}: p50 ms"
        before, after = (text.milliseconds(case.p50_ms) for case in (dense, own))
        rows.append((label, before, after, _equal(row, own.precision)))
    return rows
