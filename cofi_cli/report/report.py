"""report.md and its pictures, drawn from the run's JSON files as often as they change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from cofi_cli import format as text
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.format import Table, get, speed_words
from cofi_cli.report.bars import structure_lines
from cofi_cli.report.pictures.latency import latency_svg
from cofi_cli.report.pictures.structure import structure_svg
from cofi_cli.report.tables import (
    case_table,
    change_table,
    gate_table,
    score_table,
    size_table,
    stage_table,
    summary_table,
)
from cofi_cli.runs import RunDir, read_json, write_json, write_text
from cofi_cli.runs.export_record import are_as_timed

logger = logging.getLogger(__name__)

Json = dict[str, Any]

LATENCY = "latency.svg"
"""Beside report.md, when the benchmark has scores."""
_NOT_OURS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What drawing a file raises that holds other things than this program writes."""


def render_report(
    report: Json,
    bench: Json | None = None,
    export: Json | None = None,
    env: Json | None = None,
) -> str:
    """Return the report as Markdown.

    Args:
        report: report.json; sections that it lacks are left out.
        bench: bench.json, if there is one.
        export: onnx/export.json, if there is one.
        env: env.json, if there is one.
    """
    parts = [f"# {_title(report)}"]
    for warning in ("missed", "not_learned"):
        if report.get(warning):
            parts.append(f"**Warning:** {report[warning]}")
    if report.get("advice"):
        parts.append(str(report["advice"]))
    if report.get("note"):
        parts.append(str(report["note"]))
    parts.append(summary_table(report, bench).markdown())
    if missed := get(report, "chosen.missed"):
        parts.append(f"**Warning:** {missed}")
    parts += _section("Sizes", _table(size_table(report)))
    if report.get("latency_target"):
        parts += _section("Speed", f"- Speed: {speed_words(report['latency_target'])}.")
    parts += _section("Sparsity", _sparsity(report, export))
    if report.get("structure"):
        drawn = "\n".join(structure_lines(report["structure"]))
        parts += _section("Structure", f"```text\n{drawn}\n```\n\n![structure](structure.svg)")
    parts += _section("Stages", _table(stage_table(report)))
    if bench:
        picture = f"\n\n![latency]({LATENCY})" if _latency(report, bench) else ""
        table = _table(case_table(bench))
        parts += _section("Latency", f"{table}\n\n{conditions(bench)}{picture}")
        parts += _section("Models", _table(score_table(bench)))
        parts += _section("Gates", _table(gate_table(bench)))
        parts += _section("Changes", _table(change_table(bench)))
    parts += _section("Environment", _environment(env))
    return "\n\n".join(parts) + "\n"


def write_report(run: RunDir) -> None:
    """Draw report.md and its pictures again from what the run's folder holds.

    A benchmark of files that a later export has replaced is left out, and so is, with a
    warning, what cannot be read.

    Raises:
        CofiError: there is no report.json, or it is broken (exit code 6).
    """
    run.refuse_links()
    _draw(run, _read_report(run), current_bench(run))


def _draw(run: RunDir, report: Json, bench: Json | None) -> None:
    export = _read_part(run.onnx / "export.json", lambda values: _sparsity({}, values))
    env = _read_part(run.env, _environment)
    write_text(run.report_md, render_report(report, bench, export, env))
    if report.get("structure"):
        subtitle = _sparsity_words(report)
        drawn = structure_svg(report["structure"], title=_title(report), subtitle=subtitle)
        write_text(run.structure, drawn)
    latency = _latency(report, bench)
    if latency is not None:
        write_text(run.root / LATENCY, latency)
    else:
        (run.root / LATENCY).unlink(missing_ok=True)  # of an earlier benchmark, with scores


def add_section(run: RunDir, name: str, section: Json) -> None:
    """Put a section into report.json and redraw; a run without a report stays without.

    A broken one is left as it is, with a warning: what the section tells of is done by then.
    """
    if not run.report_json.exists():
        return
    try:
        report = _read_report(run)
    except CofiError as error:
        logger.warning("The run's report is not drawn again: %s", error.message)
        return
    report[name] = section
    bench = current_bench(run)
    if bench is None:
        report.pop("bench", None)
    write_json(run.report_json, report)
    _draw(run, report, bench)


def current_bench(run: RunDir) -> Json | None:
    """Return bench.json, unless it is of other files than those that are there."""
    is_current = True

    def draw(values: Json) -> None:
        nonlocal is_current
        render_report({}, values)
        _latency({}, values)
        with suppress(CofiError):  # where export.json is broken nothing tells
            is_current = are_as_timed(values, run.onnx)

    bench = _read_part(run.bench, draw)
    return bench if bench and is_current else None


def _read_report(run: RunDir) -> Json:
    values = read_json(run.report_json)
    try:
        report = _mapping(values)
        render_report(report)
    except _NOT_OURS as error:
        raise CofiError(
            f"{run.report_json} is not the report of a run: {_said(error)}.",
            exit_code=UNREACHABLE,
        ) from error
    return report


def _read_part(path: Path, draw: Callable[[Json], object]) -> Json | None:
    """Return what a file holds; none, with a warning, where it cannot be read or drawn."""
    if not path.exists():
        return None
    try:
        values = _mapping(read_json(path))
        draw(values)
    except CofiError as error:
        logger.warning("%s The report leaves it out.", error.message)
    except _NOT_OURS as error:
        logger.warning("%s is broken (%s); the report leaves it out.", path, _said(error))
    else:
        return values
    return None


def _mapping(values: Any) -> Json:
    if not isinstance(values, dict):
        raise TypeError("not a mapping")
    return values


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _title(report: Json) -> str:
    model, task = (
        _short(report.get("model_name") or "model"),
        report.get("task") or "task",
    )
    realised = get(report, "sparsity.realised")
    return f"{model} on {task}" + (f", {text.percent(realised)} pruned" if realised else "")


def _short(name: str) -> str:
    """A hub id as it is, a folder by its last part."""
    is_folder = name.count("/") > 1 or name.startswith(("/", "."))
    return PurePath(name).name if is_folder else name


def _sparsity_words(report: Json) -> str:
    realised, target = get(report, "sparsity.realised"), get(report, "sparsity.target")
    if realised is None:
        return ""
    words = f"{text.percent(realised, 2)} of the prunable weights removed"
    return words + (f" (target {text.percent(target, 2)})" if target is not None else "")


def _sparsity(report: Json, export: Json | None) -> str:
    lines = []
    if words := _sparsity_words(report):
        lines.append(f"- {words}, recounted from the saved tensors.")
    expected = get(report, "sparsity.expected")
    if expected is not None:
        lines.append(f"- Expected by the gates: {text.percent(expected, 2)}.")
    masked = get(report, "parity.masked_vs_compact")
    if masked is not None:
        lines.append(
            f"- Masked against compact model, largest difference of a logit: {masked:.1e}."
        )
    if export:
        parity = export["parity"]  # of the fp32 files, whatever was asked for beside them
        lines.append(
            f"- ONNX (fp32, opset {export['opset']}) against torch: "
            f"{parity['max_abs_delta']:.1e}, on {parity['inputs']} rows."
        )
    return "\n".join(lines)


def _latency(report: Json, bench: Json | None) -> str | None:
    return latency_svg(bench, title=_title(report)) if bench else None


def conditions(bench: Json) -> str:
    """Say what the latencies were measured on; without it they mean nothing."""
    env = bench["env"]
    threads = f"{env['threads']} thread{'s' if env['threads'] != 1 else ''}"
    flags = ", ".join(env.get("flags") or [])
    gpu = f"; GPU {env['gpu']}, driver {env['driver']}" if env.get("gpu") else ""
    torch = f", and torch {env['torch']}," if env.get("torch") else ""
    return (
        f"Measured with onnxruntime {env['onnxruntime']}{torch} on {env['providers'][0]}, "
        f"{threads}, each model in its own process, in turn over {env['rounds']} rounds after "
        f"{env['warmup']} warm-up runs. {env['cpu']} ({env['cores']} cores; {flags}){gpu}; "
        f"{env['os']}."
    )


def _environment(env: Json | None) -> str:
    return "\n".join(f"- {key}: {_flat(value)}" for key, value in (env or {}).items())


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
