"""The tables of a run, as plain cells, from report.json and bench.json."""

from __future__ import annotations

from typing import Any

from cofi_cli import format as text
from cofi_cli.format import MISSING, Table, get
from cofi_cli.runs.gate_results import describe_gate

Json = dict[str, Any]


def summary_table(report: Json, bench: Json | None = None) -> Table:
    """Teacher against compact model: score, weights, bytes, latency, speedup."""
    teacher, model = report.get("teacher") or {}, report.get("model") or {}
    metric = report.get("metric") or "score"
    scores = [metric] + [k for k in _dev_scores(model) if k != metric]
    rows = [_score_row(name, teacher, model, headline=name == metric) for name in scores]
    for what, key in (("one answer to all rows", "constant"), ("word vectors alone", "baseline")):
        score = (report.get(key) or {}).get("score")
        if score is not None:
            rows.append((f"  {metric} of {what}", "", text.number(score), ""))
    for label, key in (
        ("encoder weights", "encoder_params"),
        ("all weights", "total_params"),
    ):
        big, small = teacher.get(key), model.get(key)
        rows.append((label, text.count(big), text.count(small), _fewer(big, small)))
    big, small = teacher.get("bytes"), model.get("bytes")
    rows.append(("file", text.size(big), text.size(small), _smaller(big, small)))
    rows += _latency_rows(bench)
    return Table(
        "Teacher against compact model",
        ("", "teacher", "compact", "change"),
        tuple(rows),
    )


def size_table(report: Json) -> Table:
    """Score against size and speed, a row for each size of a run; empty where there is one."""
    rows = report.get("sizes") or []
    chosen = get(report, "chosen.name")
    has_speed = any("expected_speedup" in row for row in rows)
    has_error = any("standard_error" in row for row in rows)
    teacher = report.get("teacher") or {}
    cells = [
        (
            "teacher",
            text.number(teacher.get("score")),
            text.MISSING,
            *([text.MISSING] * has_error),
            text.count(teacher.get("encoder_params")),
            *(["1", text.MISSING] if has_speed else []),
            "",
        )
    ]
    cells += [
        (
            row["name"],
            text.number(row["score"]),
            text.number(row["drop"]),
            *([text.number(row.get("standard_error"))] if has_error else []),
            text.count(row["encoder_params"]),
            *(
                [text.number(row.get(f"{how}_speedup")) for how in ("expected", "measured")]
                if has_speed
                else []
            ),
            "chosen" if row["name"] == chosen else "",
        )
        for row in rows
    ]
    columns = (
        "size",
        str(report.get("metric") or "score"),
        "drop",
        *(["standard error"] if has_error else []),
        "encoder weights",
        *(["speedup expected", "measured"] if has_speed else []),
        "",
    )
    return Table("Sizes", columns, tuple(cells) if rows else ())


def stage_table(report: Json) -> Table:
    """Time and speed of each stage."""
    rows = [
        (
            name,
            text.duration(get(stage, "seconds")),
            text.number(get(stage, "examples_per_second"), 0),
            text.number(get(stage, "examples"), 0),
            text.number(get(stage, "steps"), 0),
        )
        for name, stage in (report.get("stages") or {}).items()
    ]
    columns = ("stage", "time", "examples/s", "examples", "steps")
    return Table("Stages", columns, tuple(rows))


def case_table(bench: Json) -> Table:
    """Latency of every model in every case, with its speedup at equal precision.

    Where that says less than the whole, a last column has the product of pruning,
    precision and runtime: the speedup over the baseline.
    """
    products = {(row["model"], row["case"]): row for row in bench.get("speedups", [])}
    headline = {(row["model"], row["case"]): row for row in bench.get("headline", [])}
    equal = headline if "headline" in bench else products
    references = {row["vs"] for row in equal.values()} | {bench.get("baseline")}
    has_product = any(row.get("vs") != bench.get("baseline") for row in equal.values()) or not set(
        products
    ) <= set(equal)
    rows = []
    for case in bench.get("cases", []):
        place = case["model"], case["case"]
        of = equal.get(place)
        is_reference = case["model"] in references and of is None
        cells = [
            case["model"],
            case["precision"],
            str(case["batch"]),
            _length(case),
            *(text.milliseconds(case[f"{p}_ms"]) for p in ("p50", "p90", "p99")),
            text.number(case["throughput"], 1),
            str(case["runs"]),
            "baseline" if is_reference else _equal(of, case["precision"]),
        ]
        if has_product:
            is_baseline = case["model"] == bench.get("baseline")
            cells.append("1" if is_baseline else text.speedup(products.get(place)))
        rows.append(tuple(cells))
    for case in bench.get("unmeasured") or []:
        cells = ["all", MISSING, str(case["batch"]), _length(case), *[MISSING] * 5, case["reason"]]
        rows.append((*cells, MISSING) if has_product else tuple(cells))
    columns = ("model", "precision", "batch", "length", "p50 ms", "p90 ms", "p99 ms")
    more = ("examples/s", "runs", "speedup (95 % interval)")
    last = (f"all, against {bench.get('baseline')}",) if has_product else ()
    return Table("Latency", (*columns, *more, *last), tuple(rows))


def score_table(bench: Json) -> Table:
    """Score, size, memory and cold start of each model."""
    scores = {row["model"]: row for row in bench.get("scores", [])}
    rows = []
    for model in bench.get("models", []):
        score = scores.get(model["name"], {})
        rows.append(
            (
                model["name"],
                text.metric(score),
                text.number(score.get("score")),
                text.size(model.get("shipped_bytes")),
                text.size(model.get("download_bytes")),
                text.size(model.get("peak_rss_bytes")),
                text.number(model.get("load_seconds"), 2),
                text.number(model.get("cold_start_seconds"), 2),
            )
        )
    columns = (
        "model",
        "metric",
        "score",
        "size",
        "download",
        "peak memory",
        "load s",
        "cold start s",
    )
    return Table("Models", columns, tuple(rows))


def gate_table(bench: Json) -> Table:
    """What was demanded and what was found."""
    rows = []
    for gate in bench.get("gates", []):
        is_change = gate["name"] == "fail_if"
        rows.append(
            (
                gate["expression"] if is_change else gate["name"],
                f"{gate['threshold']:{'+' if is_change else ''}g}",
                text.number(gate["value"]),
                "passed" if gate["passed"] else gate.get("outcome", "failed").upper(),
                describe_gate(gate),
            )
        )
    return Table("Gates", ("gate", "threshold", "value", "result", "found"), tuple(rows))


def change_table(bench: Json) -> Table:
    """Return what changed: medians, speedups, all that has no case, and what was judged."""
    comparison = bench.get("comparison") or {}
    judged = {gate.get("metric") for gate in bench.get("gates", [])}
    rows = []
    for row in comparison.get("rows", []):
        if row["case"] is not None and row["metric"] not in {"p50", "speedup", *judged}:
            continue
        ratio, interval = row["ratio"], row["interval"]
        rows.append(
            (
                f"{row['model']} {row['case']}" if row["case"] else row["model"],
                f"{row['metric']} ({row['unit']})",
                *(f"{value:.4g}" for value in (row["before"], row["after"])),
                MISSING if ratio is None else f"{100 * (ratio - 1):+.1f} %",
                MISSING if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
                "noise" if row["noise"] else "",
            )
        )
    columns = ("model", "figure", "before", "now", "change", "ratio (95 % interval)", "")
    return Table(f"Against {comparison.get('file', 'an earlier result')}", columns, tuple(rows))


def _length(case: Json) -> str:
    if case["seq_len"] != "task":
        return str(case["seq_len"])
    return f"task's, {case['mean_length']:.0f} padded" if "mean_length" in case else "task's"


def _equal(of: Json | None, precision: str) -> str:
    """Show a headline row; one without a dense model of its precision says so."""
    if of is not None and of["vs"] is None:
        return f"no dense {precision}"
    return text.speedup(of)


def _score_row(name: str, teacher: Json, model: Json, *, headline: bool) -> tuple[str, ...]:
    before = teacher.get("score") if headline else _dev_scores(teacher).get(name)
    after = model.get("score") if headline else _dev_scores(model).get(name)
    change = MISSING if before is None or after is None else f"{after - before:+.2f}"
    shown = f"{name} with the teacher" if name == "agreement" else name
    return (f"{shown} (dev, points)", text.number(before), text.number(after), change)


def _dev_scores(side: Json) -> Json:
    """Return metric -> points on the dev set; training writes split -> metric -> points."""
    scores: Json = side.get("scores") or {}
    by_split = scores.get("validation")
    return by_split if isinstance(by_split, dict) else scores


def _fewer(big: float | None, small: float | None) -> str:
    return f"{text.factor(big, small)} fewer" if big and small else MISSING


def _smaller(big: float | None, small: float | None) -> str:
    return f"{text.factor(big, small)} smaller" if big and small else MISSING


def _latency_rows(bench: Json | None) -> list[tuple[str, ...]]:
    """A row per case of a run's benchmark and precision: its dense and its compact ONNX file."""
    bench = bench or {}
    cases = {(row["model"], row["case"]): row for row in bench.get("cases", [])}
    rows: list[tuple[str, ...]] = []
    for row in bench.get("headline") or bench.get("speedups", []):
        is_pair = (row["vs"] or "").split("_")[0] == "dense"
        if not is_pair or row["model"].split("_")[0] != "model":
            continue
        dense, own = cases[row["vs"], row["case"]], cases[row["model"], row["case"]]
        if dense["precision"] != own["precision"]:
            continue
        precision = "" if own["precision"] == "fp32" else f" {own['precision']}"
        length = "the task's" if row["seq_len"] == "task" else row["seq_len"]
        label = f"ONNX{precision}, batch {row['batch']}, length {length}: p50 ms"
        before, after = (text.milliseconds(c["p50_ms"]) for c in (dense, own))
        rows.append((label, before, after, text.speedup(row)))
    return rows
