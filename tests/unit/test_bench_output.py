"""What continuous integration and report.md say of a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.report.ci import BIGGER, SMALLER, append_summary, series, summary, write_ci_files
from cofi_cli.report.report import write_report
from cofi_cli.report.tables import case_table, score_table, summary_table
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import BenchResult, HeadlineRow, RunReport
from tests.records import (
    bench_result,
    case_row,
    export_record,
    exported_file,
    model_row,
    run_report,
    score_row,
    speedup_row,
)

MODELS = {
    "dense": (30.0, 91.0, "fp32", "onnxruntime"),
    "model": (2.5, 89.8, "fp32", "onnxruntime"),
    "dense_int8": (10.0, 90.7, "int8", "onnxruntime"),
    "model_int8": (1.25, 89.7, "int8", "onnxruntime"),
    "torch/model": (6.0, 89.8, "fp32", "torch"),
}


PAIRS = {"model": "dense", "model_int8": "dense_int8", "torch/model": None}


def ratio(model: str, vs: str) -> float:
    return MODELS[vs][0] / MODELS[model][0]


def headline(model: str, vs: str | None) -> HeadlineRow:
    product = speedup_row(model, ratio(model, "dense"))
    equal = speedup_row(model, ratio(model, vs)) if vs else None
    return HeadlineRow(
        model=model,
        case="b1-s128",
        batch=1,
        seq_len=128,
        precision=MODELS[model][2],
        vs=vs,
        ratio=equal and equal.ratio,
        interval=equal and equal.interval,
        verdict=equal and equal.verdict,
        product_vs="dense",
        product=product.ratio,
        product_interval=product.interval,
        product_verdict=product.verdict,
    )


def bench(**changes: Any) -> BenchResult:
    values = {
        "models": [
            model_row(name, precision=precision, runtime=runtime)
            for name, (_, _, precision, runtime) in MODELS.items()
        ],
        "cases": [
            case_row(
                name,
                ms,
                precision=precision,
                runtime=runtime,
                runs=2,
                samples_ms=[[ms - 1, ms + 1]],
            )
            for name, (ms, _, precision, runtime) in MODELS.items()
        ],
        "speedups": [speedup_row(m, ratio(m, "dense")) for m in MODELS if m != "dense"],
        "headline": [headline(*pair) for pair in PAIRS.items()],
        "scores": [score_row(name, score) for name, (_, score, _, _) in MODELS.items()],
    }
    return bench_result(**values | changes)


def changed(row: Any, **changes: Any) -> Any:
    """Return a part of a record with other values."""
    return row.model_copy(update=changes)


GATE = {
    "name": "fail_if",
    "expression": "p50>+5%",
    "model": "model",
    "case": "b1-s128",
    "metric": "p50",
    "threshold": 5.0,
    "unit": "%",
    "value": 9.0,
    "before": 2.3,
    "after": 2.5,
    "interval": (1.06, 1.12),
    "outcome": "failed",
    "baseline_ratio": None,
    "passed": False,
}


def test_the_headline_is_equal_precision_and_the_product_stands_beside_it() -> None:
    table = case_table(bench())
    assert table.columns[-2:] == ("speedup (95 % interval)", "all, against dense")
    assert {row[0]: row[-2:] for row in table.rows} == {
        "dense": ("baseline", "1"),
        "model": ("12.00x (11.40 to 12.60)", "12.00x (11.40 to 12.60)"),
        "dense_int8": ("baseline", "3.00x (2.85 to 3.15)"),
        "model_int8": ("8.00x (7.60 to 8.40)", "24.00x (22.80 to 25.20)"),
        "torch/model": ("no dense fp32", "5.00x (4.75 to 5.25)"),
    }


def test_the_lengths_of_the_tasks_rows_are_shown() -> None:
    values = bench(cases=[changed(bench().cases[0], seq_len="task", mean_length=27.4)])
    assert case_table(values).rows[0][3] == "task's, 27 padded"


def test_cold_start_is_a_column() -> None:
    table = score_table(bench())
    assert (table.columns[-1], table.rows[0][-1]) == ("cold start s", "0.75")


def test_the_summary_of_a_report_has_a_row_a_precision() -> None:
    rows = summary_table(run_report(), bench()).rows[-2:]
    assert [row[0] for row in rows] == [
        "ONNX, batch 1, length 128: p50 ms",
        "ONNX int8, batch 1, length 128: p50 ms",
    ]
    assert [row[1:3] for row in rows] == [("30.0", "2.50"), ("10.0", "1.25")]


def test_series_are_what_github_action_benchmark_reads() -> None:
    smaller, bigger = series(bench())
    for entry in smaller + bigger:
        assert (
            {"name", "unit", "value"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        )
        assert isinstance(entry["value"], float)
        assert all(isinstance(entry[k], str) for k in set(entry) - {"value"})
    assert smaller[1]["name"] == "model b1-s128 p50"
    assert (smaller[1]["unit"], smaller[1]["value"], smaller[1]["range"]) == ("ms", 2.5, "± 1")
    values = {entry["name"]: entry["value"] for entry in bigger}
    assert values["model b1-s128 throughput"] == 400
    assert values["model_int8 b1-s128 speedup"] == 8
    assert values["model accuracy"] == 89.8
    assert "torch/model b1-s128 speedup" not in values, "nothing of equal precision"
    names = [entry["name"] for entry in smaller + bigger]
    assert len(set(names)) == len(names)


def test_files_for_ci(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ci"
    files = write_ci_files(folder, bench())
    assert [file.name for file in files] == [SMALLER, BIGGER]
    assert json.loads(files[0].read_text(encoding="utf-8"))[0]["name"] == "dense b1-s128 p50"
    assert {path.name for path in folder.iterdir()} == {file.name for file in files}


def test_the_summary_says_the_verdict_first() -> None:
    comparison = {
        "file": "old.json",
        "environment": ["threads 2 before, 4 now"],
        "notes": ["Model x: not in old.json; not compared."],
        "rows": [],
    }
    words = summary(bench(gates=[GATE], comparison=comparison), title="cofi bench r")
    lines = words.splitlines()
    assert lines[0] == "## cofi bench r"
    assert lines[2].startswith("**Gate failed: p50 of model b1-s128 changed by +9.00%")
    assert "- Model x: not in old.json; not compared." in lines
    assert "- Differs by its environment: threads 2 before, 4 now." in lines
    for heading in ("### Gates", "### Latency", "### Models"):
        assert heading in lines
    assert "| model | fp32 | 1 | 128 | 2.50 |" in words
    assert "onnxruntime 1.32.0" in lines[-1]
    passed = summary(bench(gates=[GATE | {"passed": True}]), title="t")
    assert "All gates passed." in passed


def test_the_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("from another step\n", encoding="utf-8")
    append_summary(path, bench(), title="mine")
    assert path.read_text(encoding="utf-8").startswith("from another step\n## mine\n")


def test_a_summary_that_cannot_be_written_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_summary(tmp_path, bench(), title="t")
    assert "No summary in" in caplog.text


def test_a_report_leaves_a_benchmark_of_replaced_files_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run_report().write(run.report_json)
    models = [
        changed(row, file=str(run.onnx / f"{row.name}.onnx"), sha256=f"{row.name} 1")
        for row in bench().models
    ]
    models[-1] = changed(models[-1], file=str(run.model))
    models.append(changed(models[0], file="/elsewhere/model.onnx", sha256="of another run"))
    bench(models=models).write(run.bench)

    def is_shown(version: int, *names: str) -> bool:
        files = [exported_file(f"{n}.onnx", sha256=f"{n} {version}") for n in names]
        export_record(*files).write(run.onnx / "export.json")
        for file in run.onnx.glob("*.onnx"):
            file.unlink()
        for name in names:
            (run.onnx / f"{name}.onnx").touch()
        write_report(run)
        return "## Latency" in run.report_md.read_text(encoding="utf-8")

    every = ("dense", "model", "dense_int8", "model_int8")
    assert is_shown(1, *every)
    assert RunReport.read(run.report_json).bench is not None
    assert not is_shown(2, *every)
    assert RunReport.read(run.report_json).bench is None
    assert not is_shown(1, "dense", "model"), "the int8 files are gone"
