"""``cofi export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.bench import numbers
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir

if TYPE_CHECKING:
    from cofi_cli.format import Table

_MEASURED = "What to be fast at"


def export(
    source: Annotated[
        str | None,
        typer.Argument(help="A run, a model folder or a hub id; by default the latest run."),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX.")] = False,
    precision: Annotated[
        str,
        typer.Option(help="fp32; int8 (processors) or fp16 (GPUs) beside it; auto picks."),
    ] = "fp32",
    graph: Annotated[
        str,
        typer.Option(
            help="auto (fastest, measured), plain, packed, lean, fused, lean-fused, fused-skip "
            "or fused-lengths (padding on the right only)."
        ),
    ] = "auto",
    portable: Annotated[
        bool, typer.Option("--portable", help="Standard ONNX operators only.")
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of score that int8 or fp16 may lose; by default 0.5."),
    ] = None,
    provider: Annotated[
        str, typer.Option(help="Be fast on: cpu or cuda.", rich_help_panel=_MEASURED)
    ] = "cpu",
    batch: Annotated[
        str, typer.Option(help="At these batch sizes.", rich_help_panel=_MEASURED)
    ] = "1",
    seq_len: Annotated[
        str | None, typer.Option(help="At these lengths; default: 128.", rich_help_panel=_MEASURED)
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="With so many threads; default: cores.", rich_help_panel=_MEASURED),
    ] = None,
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators.")] = 18,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; by default onnx/ in the source."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Score on this built-in task; by default on the run's."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder of the task.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Export to ONNX, proven equal to the torch model, in the form that runs fastest here.

    A run is exported together with its dense teacher, so that their latencies compare.
    """
    prepare(quiet=quiet)
    if not onnx:
        raise CofiError("No format given.", hint="ONNX is the one there is: cofi export --onnx")
    place = source if source is not None else str(RunDir.latest().root)
    say(f"Exporting {place}", quiet=quiet)
    from cofi_cli.exporting.export import export as export_onnx

    report = export_onnx(
        place,
        output=output,
        precision=precision,
        graph=graph,
        portable=portable,
        provider=provider,
        batch=numbers("--batch", batch),
        seq_len=None if seq_len is None else numbers("--seq-len", seq_len),
        threads=threads,
        max_drop=max_drop,
        opset=opset,
        task=task,
        data=data,
    )
    if as_json:
        show_json(report)
    else:
        _show(report)


def _show(report: dict[str, Any]) -> None:
    from cofi_cli import format as text
    from cofi_cli.report.cards.onnx import precision_name
    from cofi_cli.runs.export_record import graph_name

    rows = tuple(
        (
            row["file"],
            precision_name(row),
            graph_name(row),
            text.size(row["bytes"]),
            f"{row['parity']['max_abs_delta']:.1e}" if "parity" in row else text.MISSING,
            text.score(row),
        )
        for row in report["models"].values()
    )
    columns = ("file", "precision", "graph", "size", "max |Δ| against torch", "score")
    tables = [text.Table(f"ONNX, opset {report['opset']}", columns, rows)]
    for name, row in report["models"].items():
        if len(row.get("candidates", ())) > 1:
            tables.append(_candidates(name, row["candidates"], report["conditions"]))
    show_tables(tables)
    picked = [f"fastest {report['picked']}"] if report["picked"] else []
    show_lines([*report["notes"], *picked, f"folder  {report['folder']}"])


def _candidates(name: str, rows: list[dict[str, Any]], conditions: dict[str, Any]) -> Table:
    from cofi_cli import format as text

    cells = tuple(
        (
            row["name"],
            row["case"],
            text.milliseconds(row["p50_ms"]),
            f"{row['ratio']:.2f}x ({row['interval'][0]:.2f} to {row['interval'][1]:.2f})",
            row["vs"],
        )
        for row in rows
    )
    where = f"{conditions['provider']}, {conditions['threads']} threads"
    columns = ("graph", "case", "p50 ms", "speedup", "over")
    return text.Table(f"Tried for {name}.onnx ({where})", columns, cells)
