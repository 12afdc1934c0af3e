"""``cofi export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir


def export(
    source: Annotated[
        str | None,
        typer.Argument(help="A run, a model folder or a hub id; by default the latest run."),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX.")] = False,
    precision: Annotated[str, typer.Option(help="Precision of the weights: fp32.")] = "fp32",
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators.")] = 18,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; by default onnx/ in the source."),
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Export to ONNX, proven equal to the torch model.

    A run is exported together with its dense teacher, so that their latencies compare.
    """
    prepare(quiet=quiet)
    if not onnx:
        raise CofiError("No format given.", hint="ONNX is the one there is: cofi export --onnx")
    place = source if source is not None else str(RunDir.latest().root)
    say(f"Exporting {place}", quiet=quiet)
    from cofi_cli.deploy.export import export as export_onnx

    report = export_onnx(place, output=output, precision=precision, opset=opset)
    if as_json:
        show_json(report)
    else:
        _show(report)


def _show(report: dict[str, Any]) -> None:
    from cofi_cli.deploy import text

    rows = tuple(
        (
            row["file"],
            text.size(row["bytes"]),
            str(row["node_count"]),
            f"{row['parity']['max_abs_delta']:.1e}",
        )
        for row in report["models"].values()
    )
    columns = ("file", "size", "nodes", "max |Δ| against torch")
    title = f"ONNX, {report['precision']}, opset {report['opset']}"
    show_tables([text.Table(title, columns, rows)])
    show_lines([f"folder  {report['folder']}"])
