"""The tables of a run, as plain cells, from report.json and bench.json."""

from __future__ import annotations

from typing import Any

from cofi_cli.deploy import text
from cofi_cli.deploy.gates import describe_gate
from cofi_cli.deploy.text import MISSING, Table, get

Json = dict[str, Any]


def summary_table(report: Json, bench: Json | None = None) -> Table:
    """Teacher against compact model: score, weights, bytes, latency, speedup."""
    teacher, model = report.get("teacher") or {}, report.get("model") or {}
    metric = report.get("metric") or "score"
    scores = [metric] + [k for k in _dev_scores(model) if k != metric]
    rows = [_score_row(name, teacher, model, headline=name == metric) for name in scores]
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
    """Latency of every model in every case, with the speedup over the baseline."""
    speedups = {(row["model"], row["case"]): row for row in bench.get("speedups", [])}
    rows = []
    for case in bench.get("cases", []):
        of = speedups.get((case["model"], case["case"]))
        is_baseline = case["model"] == bench.get("baseline")
        rows.append(
            (
                case["model"],
                case["precision"],
                str(case["batch"]),
                str(case["seq_len"]),
                *(text.milliseconds(case[f"{p}_ms"]) for p in ("p50", "p90", "p99")),
                text.number(case["throughput"], 1),
                str(case["runs"]),
                "baseline" if is_baseline else text.speedup(of),
            )
        )
    columns = ("model", "precision", "batch", "length", "p50 ms", "p90 ms", "p99 ms")
    more = ("examples/s", "runs", "speedup (95 % interval)")
    return Table("Latency", (*columns, *more), tuple(rows))


def score_table(bench: Json) -> Table:
    """Score, size and memory of each ONNX file."""
    scores = {row["model"]: row for row in bench.get("scores", [])}
    rows = []
    for model in bench.get("models", []):
        score = scores.get(model["name"], {})
        rows.append(
            (
                model["name"],
                score.get("metric", MISSING),
                text.number(score.get("score")),
                text.size(model.get("bytes")),
                text.size(model.get("peak_rss_bytes")),
                text.number(model.get("load_seconds"), 2),
            )
        )
    columns = ("model", "metric", "score", "file", "peak memory", "load s")
    return Table("ONNX files", columns, tuple(rows))


def gate_table(bench: Json) -> Table:
    """What was demanded and what was found."""
    rows = [
        (
            gate["name"],
            f"{gate['threshold']:g}",
            text.number(gate["value"]),
            "passed" if gate["passed"] else "FAILED",
            describe_gate(gate),
        )
        for gate in bench.get("gates", [])
    ]
    return Table("Gates", ("gate", "threshold", "value", "result", "found"), tuple(rows))


def _score_row(name: str, teacher: Json, model: Json, *, headline: bool) -> tuple[str, ...]:
    before = teacher.get("score") if headline else _dev_scores(teacher).get(name)
    after = model.get("score") if headline else _dev_scores(model).get(name)
    change = MISSING if before is None or after is None else f"{after - before:+.2f}"
    return (f"{name} (dev, points)", text.number(before), text.number(after), change)


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
    """A row per case of a run's benchmark: its dense and its compact ONNX file."""
    cases = {(row["model"], row["case"]): row for row in (bench or {}).get("cases", [])}
    rows: list[tuple[str, ...]] = []
    for row in (bench or {}).get("speedups", []):
        dense, own = cases[row["vs"], row["case"]], cases[row["model"], row["case"]]
        if (row["vs"], row["model"]) != ("dense", "model"):
            continue
        label = f"ONNX, batch {row['batch']}, length {row['seq_len']}: p50 ms"
        before, after = (text.milliseconds(c["p50_ms"]) for c in (dense, own))
        rows.append((label, before, after, text.speedup(row)))
    return rows
