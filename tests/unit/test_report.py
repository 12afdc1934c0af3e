import subprocess
import sys
from xml.etree import ElementTree

import pytest

from cofi_cli import format as text
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.report.bars import bar, structure_lines
from cofi_cli.report.cards.model import model_card
from cofi_cli.report.pictures.structure import FFN, HEADS, structure_svg
from cofi_cli.report.report import refresh, render_report, write_report
from cofi_cli.report.tables import case_table, stage_table, summary_table
from cofi_cli.runs import RunDir, write_text
from cofi_cli.runs.records import RunReport, Structure
from tests.records import (
    bench_result,
    environment,
    export_record,
    run_report,
    score_row,
    summary,
)

STRUCTURE = Structure(
    heads=[3, 0], ffn=[358, 0], hidden=380, of={"heads": 12, "ffn": 1536, "hidden": 384}
)
REPORT = run_report(
    note="Scores on a small dev set.",
    model_name="/somewhere/models/MiniLM",
    teacher=summary(
        91.0,
        scores={"validation": {"accuracy": 91.0, "f1": 90.5}},
        encoder_params=10_640_000,
        total_params=22_700_000,
        bytes=90_800_000,
    ),
    model=summary(
        89.75,
        scores={"validation": {"accuracy": 89.75, "f1": 90.75}},
        encoder_params=532_000,
        total_params=12_500_000,
        bytes=50_000_000,
    ),
    sparsity={"target": 0.95, "realised": 0.9503, "expected": 0.9498},
    structure=STRUCTURE,
    parity={"masked_vs_compact": 2e-6},
    stages={
        "prune": {"seconds": 185.0, "examples": 1000, "examples_per_second": 320.4, "steps": 50}
    },
)
SHORT = run_report(model_name="google/bert")
GATE = {
    "name": "min_speedup",
    "model": "model",
    "case": "b1-s128",
    "threshold": 8,
    "value": 12.0,
    "passed": True,
}
BENCH = bench_result(scores=[score_row("model", 89.75)], gates=[GATE])
EXPORT = export_record()


def test_summary_compares_teacher_and_compact_model():
    assert summary_table(REPORT, BENCH).rows == (
        ("accuracy (dev, points)", "91.00", "89.75", "-1.25"),
        ("f1 (dev, points)", "90.50", "90.75", "+0.25"),
        ("encoder weights", "10.64M", "532.00k", "20.0x fewer"),
        ("all weights", "22.70M", "12.50M", "1.8x fewer"),
        ("file", "90.8 MB", "50.0 MB", "1.8x smaller"),
        ("ONNX, batch 1, length 128: p50 ms", "30.0", "2.50", "12.00x (11.40 to 12.60)"),
    )


def test_a_test_set_is_scored_beside_the_dev_set():
    teacher = summary(91.0, scores={"validation": {"accuracy": 91.0}, "test": {"accuracy": 90.0}})
    model = summary(90.0, scores={"validation": {"accuracy": 90.0}, "test": {"accuracy": 88.5}})
    report = run_report(teacher=teacher, model=model, constant={"score": 55.5})
    assert summary_table(report).rows[1] == ("accuracy (test, points)", "90.00", "88.50", "-1.50")
    card = model_card(report)
    assert "| accuracy, test | 88.5 |" in card
    assert "| accuracy of one answer to all rows | 55.5 |" in card


def test_a_fine_tuned_model_stands_beside_itself_before():
    report = run_report(teacher=None, model=summary(90.0), before={"accuracy": 81.0})
    table = summary_table(report)
    assert (table.title, table.rows[0]) == (
        "Before and after",
        ("accuracy (dev, points)", "81.00", "90.00", "+9.00"),
    )


def test_stage_table():
    assert stage_table(REPORT).rows == (("prune", "3 min 05 s", "320", "1000", "50"),)


def test_case_table_marks_the_baseline():
    assert [row[-1] for row in case_table(BENCH).rows] == ["baseline", "12.00x (11.40 to 12.60)"]


def test_a_speedup_whose_interval_holds_one_is_none():
    assert text.speedup(1.1, (0.96, 1.21), "none") == "none (0.96 to 1.21)"


def test_parity_is_said_of_the_fp32_files_whatever_else_was_exported():
    words = render_report(REPORT, BENCH, export_record(precision="int8"))
    assert "ONNX (fp32, opset 18) against torch: 3.0e-06" in words


def test_report_holds_every_section():
    words = render_report(REPORT, BENCH, EXPORT, environment())
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
    assert "ONNX (fp32, opset 18) against torch: 3.0e-06, on synthetic rows." in words
    assert "onnxruntime 1.32.0 on CPUExecutionProvider, 2 threads," in words
    assert "- packages: torch 2.13" in words
    assert "- data: train abababababab…" in words


def test_report_without_anything_else_is_short():
    words = render_report(SHORT)
    assert words.startswith("# google/bert on sst2\n")
    assert "##" not in words


def test_a_missed_target_is_said_first():
    words = render_report(REPORT.model_copy(update={"missed": "0.93 instead of 0.95"}))
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
    refresh(run)
    assert not run.report_json.exists()
    REPORT.write(run.report_json)
    write_report(run)
    assert "## Latency" not in run.report_md.read_text(encoding="utf-8")
    BENCH.write(run.bench)
    refresh(run)
    assert "## Latency" in run.report_md.read_text(encoding="utf-8")
    assert RunReport.read(run.report_json).bench.threads == 2
    assert run.structure.read_text(encoding="utf-8").startswith("<svg")
    assert not list(run.root.glob(".*"))


def test_no_report_json_is_an_error(tmp_path):
    with pytest.raises(CofiError, match=r"Cannot read .*report\.json"):
        write_report(RunDir(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, c) for name in ("bench", "env", "onnx/export") for c in ("", "[]", '{"version": 1}')],
)
def test_what_cannot_be_read_is_left_out(tmp_path, caplog, name, content):
    run = RunDir(tmp_path)
    REPORT.write(run.report_json)
    write_report(run)
    whole = run.report_md.read_text(encoding="utf-8")
    write_text(tmp_path / f"{name}.json", content)
    refresh(run)
    assert caplog.text.count(str(tmp_path / f"{name}.json")) == 1
    assert caplog.text.rstrip().endswith("eport leaves it out.")
    assert run.report_md.read_text(encoding="utf-8") == whole


def test_a_benchmark_is_shown_beside_a_broken_export_json(tmp_path):
    run = RunDir(tmp_path)
    REPORT.write(run.report_json)
    BENCH.write(run.bench)
    write_text(run.onnx / "export.json", "{")
    write_report(run)
    assert "## Latency" in run.report_md.read_text(encoding="utf-8")


def test_a_broken_report_is_told_and_left_as_it_is(tmp_path, caplog):
    run = RunDir(tmp_path)
    write_text(run.report_json, "[]")
    refresh(run)
    assert "The run's report is not drawn again: " in caplog.text
    assert str(run.report_json) in caplog.text
    assert run.report_json.read_text(encoding="utf-8") == "[]"
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
