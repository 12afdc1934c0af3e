import subprocess
import sys
from xml.etree import ElementTree

import pytest

from cofi_cli import format as text
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.report.bars import bar, structure_lines
from cofi_cli.report.pictures.structure import FFN, HEADS, structure_svg
from cofi_cli.report.report import add_section, render_report, write_report
from cofi_cli.report.tables import case_table, stage_table, summary_table
from cofi_cli.runs import RunDir, read_json, write_json, write_text

STRUCTURE = {
    "heads": [3, 0],
    "ffn": [358, 0],
    "hidden": 380,
    "of": {"heads": 12, "ffn": 1536, "hidden": 384},
}
REPORT = {
    "task": "sst2",
    "metric": "accuracy",
    "note": "Scores on a small dev set.",
    "model_name": "/somewhere/models/MiniLM",
    "missed": None,
    "teacher": {
        "score": 91.0,
        "scores": {"accuracy": 91.0, "f1": 90.5},
        "encoder_params": 10_640_000,
        "total_params": 22_700_000,
        "bytes": 90_800_000,
    },
    "model": {
        "score": 89.75,
        "scores": {"accuracy": 89.75, "f1": 90.75},
        "encoder_params": 532_000,
        "total_params": 12_500_000,
        "bytes": 50_000_000,
    },
    "sparsity": {"target": 0.95, "realised": 0.9503, "expected": 0.9498},
    "structure": STRUCTURE,
    "parity": {"masked_vs_compact": 2e-6},
    "stages": {
        "prune": {"seconds": 185.0, "examples": 1000, "examples_per_second": 320.4, "steps": 50}
    },
}


def case(model, p50):
    return {
        "model": model,
        "provider": "cpu",
        "precision": "fp32",
        "case": "b1-s128",
        "batch": 1,
        "seq_len": 128,
        "runs": 30,
        "p50_ms": p50,
        "p90_ms": p50,
        "p99_ms": p50,
        "mean_ms": p50,
        "throughput": 1000 / p50,
        "samples_ms": [[p50]],
    }


BENCH = {
    "env": {
        "cpu": "Some CPU",
        "flags": ["avx2"],
        "cores": 2,
        "gpu": None,
        "os": "Linux",
        "onnxruntime": "1.32.0",
        "providers": ["CPUExecutionProvider"],
        "threads": 1,
        "rounds": 10,
        "warmup": 3,
    },
    "baseline": "dense",
    "models": [
        {"name": name, "bytes": 1_000_000, "peak_rss_bytes": 2_000_000, "load_seconds": 0.1}
        for name in ("dense", "model")
    ],
    "cases": [case("dense", 30.0), case("model", 2.5)],
    "speedups": [
        {
            "model": "model",
            "vs": "dense",
            "case": "b1-s128",
            "batch": 1,
            "seq_len": 128,
            "ratio": 12.0,
            "interval": [11.5, 12.6],
            "verdict": "faster",
        }
    ],
    "scores": [{"model": "model", "metric": "accuracy", "score": 89.75}],
    "gates": [
        {
            "name": "min_speedup",
            "model": "model",
            "case": "b1-s128",
            "threshold": 8,
            "value": 12.0,
            "passed": True,
        }
    ],
}
EXPORT = {
    "precision": "fp32",
    "opset": 18,
    "parity": {"max_abs_delta": 3e-6, "inputs": "sst2 validation"},
}


def test_summary_compares_teacher_and_compact_model():
    assert summary_table(REPORT, BENCH).rows == (
        ("accuracy (dev, points)", "91.00", "89.75", "-1.25"),
        ("f1 (dev, points)", "90.50", "90.75", "+0.25"),
        ("encoder weights", "10.64M", "532.00k", "20.0x fewer"),
        ("all weights", "22.70M", "12.50M", "1.8x fewer"),
        ("file", "90.8 MB", "50.0 MB", "1.8x smaller"),
        ("ONNX, batch 1, length 128: p50 ms", "30.0", "2.50", "12.00x (11.50 to 12.60)"),
    )


def test_stage_table():
    assert stage_table(REPORT).rows == (("prune", "3 min 05 s", "320", "1000", "50"),)


def test_case_table_marks_the_baseline():
    assert [row[-1] for row in case_table(BENCH).rows] == ["baseline", "12.00x (11.50 to 12.60)"]


def test_a_speedup_whose_interval_holds_one_is_none():
    row = BENCH["speedups"][0] | {"ratio": 1.1, "interval": [0.96, 1.21], "verdict": "none"}
    assert text.speedup(row) == "none (0.96 to 1.21)"


def test_parity_is_said_of_the_fp32_files_whatever_else_was_exported():
    words = render_report(REPORT, BENCH, EXPORT | {"precision": "int8"}, {})
    assert "ONNX (fp32, opset 18) against torch: 3.0e-06" in words


def test_report_holds_every_section():
    words = render_report(REPORT, BENCH, EXPORT, {"versions": {"torch": "2.13"}, "data": "ab" * 32})
    headings = [line for line in words.splitlines() if line.startswith("#")]
    assert headings == [
        "# MiniLM on sst2, 95.0 % pruned",
        "## Sparsity",
        "## Structure",
        "## Stages",
        "## Latency",
        "## Models",
        "## Gates",
        "## Environment",
    ]
    assert "Scores on a small dev set." in words
    assert "95.03 % of the prunable weights removed (target 95.00 %)" in words
    assert "ONNX (fp32, opset 18) against torch: 3.0e-06, on sst2 validation rows." in words
    assert "onnxruntime 1.32.0 on CPUExecutionProvider, 1 thread," in words
    assert "- versions: torch 2.13" in words
    assert "- data: abababababab…" in words


def test_report_without_anything_else_is_short():
    words = render_report({"task": "sst2", "model_name": "google/bert"})
    assert words.startswith("# google/bert on sst2\n")
    assert "##" not in words


def test_a_missed_target_is_said_first():
    words = render_report(REPORT | {"missed": "0.93 instead of 0.95"})
    assert words.splitlines()[2] == "**Warning:** 0.93 instead of 0.95"


def test_cells_cannot_break_the_table():
    table = text.Table("t", ("a", "b"), (("x|y\nz", "1"),))
    assert table.markdown().splitlines()[-1] == "| x\\|y z | 1 |"


def test_structure_lines():
    assert structure_lines(STRUCTURE, width=8) == [
        "hidden    380/384  ███████░",
        "layer 0  heads  3/12 ██░░░░░░  ffn  358/1536 ██░░░░░░",
        "layer 1  heads  0/12 ░░░░░░░░  ffn    0/1536 ░░░░░░░░",
    ]


@pytest.mark.parametrize(("kept", "drawn"), [(0, "░░░░"), (1, "█░░░"), (99, "███░"), (100, "████")])
def test_only_nothing_is_empty_and_only_everything_is_full(kept, drawn):
    assert bar(kept, 100, 4) == drawn


def test_svg_draws_each_kept_unit_and_escapes_its_title():
    root = ElementTree.fromstring(structure_svg(STRUCTURE, title="<a> & 'b'"))
    fills = [rect.get("fill") for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    words = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert fills.count(HEADS) == 3
    assert fills.count(FFN) == 1
    assert words[0] == "<a> & 'b'"
    assert words.count("removed") == 2
    assert "358 / 1536" in words


def test_write_report_and_sections(tmp_path):
    run = RunDir(tmp_path / "run")
    add_section(run, "bench", {})
    assert not run.report_json.exists()
    write_json(run.report_json, REPORT)
    write_report(run)
    assert "## Latency" not in run.report_md.read_text(encoding="utf-8")
    write_json(run.bench, BENCH)
    add_section(run, "bench", {"threads": 1})
    assert "## Latency" in run.report_md.read_text(encoding="utf-8")
    assert read_json(run.report_json)["bench"] == {"threads": 1}
    assert run.structure.read_text(encoding="utf-8").startswith("<svg")
    assert not list(run.root.glob(".*"))


def test_no_report_json_is_an_error(tmp_path):
    with pytest.raises(CofiError, match=r"Cannot read .*report\.json"):
        write_report(RunDir(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, c) for name in ("bench", "env", "onnx/export") for c in ("", "{", "[]", "7")),
        ("bench", '{"models": [{"name": "a"}]}'),
        ("bench", '{"env": {}}'),
        ("onnx/export", '{"models": {}}'),
    ],
)
def test_what_cannot_be_read_is_left_out(tmp_path, caplog, name, content):
    run = RunDir(tmp_path)
    write_json(run.report_json, REPORT)
    write_report(run)
    whole = run.report_md.read_text(encoding="utf-8")
    write_text(tmp_path / f"{name}.json", content)
    add_section(run, "onnx", {"opset": 18})
    assert caplog.text.count(str(tmp_path / f"{name}.json")) == 1
    assert caplog.text.rstrip().endswith("eport leaves it out.")
    assert run.report_md.read_text(encoding="utf-8") == whole
    assert read_json(run.report_json)["onnx"] == {"opset": 18}


def test_a_benchmark_is_shown_beside_a_broken_export_json(tmp_path):
    run = RunDir(tmp_path)
    write_json(run.report_json, REPORT)
    write_json(run.bench, BENCH)
    write_text(run.onnx / "export.json", "{")
    write_report(run)
    assert "## Latency" in run.report_md.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "[]", '{"structure": 1}', '{"stages": [1]}'])
def test_a_broken_report_is_told_and_left_as_it_is(tmp_path, caplog, content):
    run = RunDir(tmp_path)
    write_text(run.report_json, content)
    add_section(run, "onnx", {})
    assert "The run's report is not drawn again: " in caplog.text
    assert str(run.report_json) in caplog.text
    assert run.report_json.read_text(encoding="utf-8") == content
    with pytest.raises(CofiError) as caught:
        write_report(run)
    assert caught.value.exit_code == UNREACHABLE


def test_report_needs_neither_torch_nor_onnx():
    code = (
        "import sys, cofi_cli.report.report, cofi_cli.report.tables;"
        "import cofi_cli.benchmarking.gates.thresholds;"
        "print([m for m in ('torch', 'transformers', 'onnx', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
