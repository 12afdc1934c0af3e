"""report.md and its picture, drawn from the run's JSON files as often as they change."""

from __future__ import annotations

import logging
from pathlib import Path, PurePath
from typing import Any, TypeVar

from cofi_cli import format as text
from cofi_cli.errors import CofiError
from cofi_cli.format import Table, speed_words
from cofi_cli.report.bars import structure_lines
from cofi_cli.report.pictures.curve import curve_svg
from cofi_cli.report.pictures.structure import structure_svg
from cofi_cli.report.tables import (
    case_table,
    change_table,
    curve_table,
    gate_table,
    score_table,
    size_table,
    stage_table,
    summary_table,
)
from cofi_cli.runs import RunDir, write_text
from cofi_cli.runs.export_folder import EXPORT_JSON, are_as_timed
from cofi_cli.runs.records import (
    BenchResult,
    BenchSection,
    Environment,
    ExportRecord,
    OnnxSection,
    Record,
    RunReport,
)

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


def render_report(
    report: RunReport,
    bench: BenchResult | None = None,
    export: ExportRecord | None = None,
    env: Environment | None = None,
) -> str:
    """Return the report as Markdown; what is ``None`` is left out."""
    parts = [f"# {_title(report)}"]
    parts += [f"**Warning:** {warning}" for warning in report.warnings]
    if report.advice is not None:
        parts.append(report.advice)
    if report.note:
        parts.append(report.note)
    parts.append(summary_table(report, bench).markdown())
    if report.chosen is not None and report.chosen.missed is not None:
        parts.append(f"**Warning:** {report.chosen.missed}")
    parts += _section("Sizes", _table(size_table(report)))
    if report.latency_target is not None:
        parts += _section("Speed", f"- Speed: {speed_words(report.latency_target)}.")
    parts += _section("Sparsity", _sparsity(report, export))
    if report.structure is not None:
        drawn = "\n".join(structure_lines(report.structure))
        parts += _section("Structure", f"```text\n{drawn}\n```\n\n![structure](structure.svg)")
    parts += _section("Stages", _table(stage_table(report)))
    if bench is not None:
        if table := _table(curve_table(bench)):
            parts += _section("Score against latency", f"{table}\n\n![curve](curve.svg)")
        parts += _section("Latency", f"{_table(case_table(bench))}\n\n{conditions(bench)}")
        parts += _section("Models", _table(score_table(bench)))
        parts += _section("Gates", _table(gate_table(bench)))
        parts += _section("Changes", _table(change_table(bench)))
    parts += _section("Environment", _environment(env))
    return text.inert("\n\n".join(parts) + "\n")


def write_report(run: RunDir) -> None:
    """Bring report.json up to date with the run's export and benchmark, and draw it again.

    A benchmark of files that a later export has replaced is left out, and so is, with a
    warning, what cannot be read.

    Raises:
        CofiError: there is no report.json, or it is broken (exit code 6).
    """
    run.refuse_links()
    report = RunReport.read(run.report_json)
    export = _or_none(ExportRecord, run.onnx / EXPORT_JSON)
    bench = _or_none(BenchResult, run.bench)
    if bench is not None and not are_as_timed(bench, run.onnx):
        bench = None
    now = report.model_copy(update={"onnx": _onnx(export), "bench": _bench(bench)})
    if now != report:
        now.write(run.report_json)
    _draw(run, now, bench, export)


def refresh(run: RunDir) -> None:
    """Do as :func:`write_report`, where there is a report.

    A broken one is left as it is, with a warning: the export or benchmark is done by then.
    """
    if not run.report_json.exists():
        return
    try:
        write_report(run)
    except CofiError as error:
        logger.warning("The run's report is not drawn again: %s", error.message)


def _draw(
    run: RunDir, report: RunReport, bench: BenchResult | None, export: ExportRecord | None
) -> None:
    env = _or_none(Environment, run.env)
    write_text(run.report_md, render_report(report, bench, export, env))
    if report.structure is not None:
        title, subtitle = _title(report), _sparsity_words(report)
        write_text(run.structure, structure_svg(report.structure, title=title, subtitle=subtitle))
    if bench is None or bench.curve is None:
        run.curve.unlink(missing_ok=True)  # it was of other files
        return
    chosen, here = report.chosen, bench.env
    drawn = curve_svg(
        bench.curve,
        title=f"{_short(report.model_name)} on {report.task}: score against latency",
        subtitle=f"{here.cpu}, {text.threads(here.threads)}, onnxruntime {here.onnxruntime}",
        chosen=chosen.name if chosen else None,
        max_drop=chosen.max_drop if chosen else None,
    )
    write_text(run.curve, drawn)


def _or_none(kind: type[R], path: Path) -> R | None:
    """Return what a file holds; ``None``, with a warning, where it cannot be read."""
    if not path.exists():
        return None
    try:
        return kind.read(path)
    except CofiError as error:
        logger.warning("%s The report leaves it out.", error.message)
        return None


def _onnx(export: ExportRecord | None) -> OnnxSection | None:
    if export is None:
        return None
    return OnnxSection(precision=export.precision, opset=export.opset, parity=export.parity)


def _bench(bench: BenchResult | None) -> BenchSection | None:
    if bench is None:
        return None
    return BenchSection(
        provider=bench.env.provider,
        threads=bench.env.threads,
        speedups=bench.speedups,
        headline=bench.headline,
        gates=bench.gates,
    )


def _title(report: RunReport) -> str:
    title = f"{_short(report.model_name)} on {report.task}"
    if report.sparsity is None:
        return title
    return f"{title}, {text.percent(report.sparsity.realised)} pruned"


def _short(name: str) -> str:
    """A hub id as it is, a folder by its last part."""
    is_folder = name.count("/") > 1 or name.startswith(("/", "."))
    return PurePath(name).name if is_folder else name


def _sparsity_words(report: RunReport) -> str:
    sparsity = report.sparsity
    if sparsity is None:
        return ""
    words = f"{text.percent(sparsity.realised, 2)} of the prunable weights removed"
    target = sparsity.target
    return words + (f" (target {text.percent(target, 2)})" if target is not None else "")


def _sparsity(report: RunReport, export: ExportRecord | None) -> str:
    lines = []
    if report.sparsity is not None:
        lines.append(f"- {_sparsity_words(report)}, recounted from the saved tensors.")
        lines.append(f"- Expected by the gates: {text.percent(report.sparsity.expected, 2)}.")
    if report.parity is not None:
        lines.append(
            "- Masked against compact model, largest difference of a logit: "
            f"{report.parity.masked_vs_compact:.1e}."
        )
    if export is not None:
        parity = export.parity  # of the fp32 files, whatever was asked for beside them
        lines.append(
            f"- ONNX (fp32, opset {export.opset}) against torch: "
            f"{parity.max_abs_delta:.1e}, on {parity.inputs} rows."
        )
    return "\n".join(lines)


def conditions(bench: BenchResult) -> str:
    """Say what the latencies were measured on; without it they mean nothing."""
    env = bench.env
    gpu = f"; GPU {env.gpu}, driver {env.driver}" if env.gpu else ""
    torch = f", and torch {env.torch}," if env.torch else ""
    return (
        f"Measured with onnxruntime {env.onnxruntime}{torch} on {env.providers[0]}, "
        f"{text.threads(env.threads)}, each model in its own process, in turn over {env.rounds} "
        f"rounds after {env.warmup} warm-up runs. {env.cpu} ({env.cores} cores; "
        f"{', '.join(env.flags)}){gpu}; {env.os}."
    )


def _environment(env: Environment | None) -> str:
    values = env.as_json() if env is not None else {}
    return "\n".join(f"- {key}: {_flat(value)}" for key, value in values.items())


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(item) for item in value)
    words = str(value)
    is_digest = len(words) == 64 and all(c in "0123456789abcdef" for c in words)
    return f"{words[:12]}…" if is_digest else words


def _table(table: Table) -> str:
    return table.markdown() if table.rows else ""


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", body] if body.strip() else []
