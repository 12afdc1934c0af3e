"""``cofi export``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.flags import Flag, flagged, given
from cofi_cli.config import ExportConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir

if TYPE_CHECKING:
    from cofi_cli.format import Table
    from cofi_cli.runs.records import Candidate, ExportConditions, ExportRecord

_METAVARS = {
    "max_drop": "POINTS",
    "vocab": "N|auto",
    "text": "FILE",
    "size": "BYTES",
    "batch": "N,N",
    "seq_len": "N,N",
    "task": "NAME",
    "data": "DIR",
}
_MEASURED = dict.fromkeys(("provider", "batch", "seq_len", "threads"), "Conditions to be fast in")
FLAGS = {
    name: Flag(name, _METAVARS.get(name), _MEASURED.get(name)) for name in ExportConfig.model_fields
}


@flagged(ExportConfig, FLAGS)
def export(
    source: Annotated[
        str | None,
        typer.Argument(help="A run, a model folder or a hub id. Default: the latest run."),
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option(
            "--onnx", show_default=False, help="Export to ONNX, which is the only format."
        ),
    ] = True,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write. Default: onnx/ in the source."
        ),
    ] = None,
    all_sizes: Annotated[
        bool,
        typer.Option(
            "--all-sizes",
            help="Export every size of a run that made several, each into onnx/ of its own folder.",
        ),
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    **fields: Any,
) -> None:
    """Export to ONNX, check the files against the torch model, and keep the fastest graph.

    A run is exported together with its dense teacher, so that their latencies can be compared.
    """
    config = given(ExportConfig, fields)
    prepare(quiet=quiet)
    del onnx  # the only format, with or without the flag
    place = source if source is not None else str(RunDir.latest().root)
    say(f"Exporting {place}", quiet=quiet)
    from cofi_cli.api import export_as, export_sizes

    if all_sizes:
        if output is not None:
            raise CofiError(
                f"--output {output} is one folder, and --all-sizes writes one for each size.",
                hint="Leave one of them out.",
            )
        records = export_sizes(Path(place), config)
    else:
        records = [export_as(place, config, output=output)]
    if as_json:
        values = [record.as_json() for record in records]
        show_json(values if all_sizes else values[0])
        return
    for record in records:
        _show(record)


def _show(record: ExportRecord) -> None:
    from cofi_cli import format as text
    from cofi_cli.report.cards.onnx import precision_name

    rows = tuple(
        (
            file.file,
            precision_name(file),
            file.graph,
            text.size(file.bytes),
            f"{file.parity.max_abs_delta:.1e}" if file.parity else text.MISSING,
            text.score(file),
        )
        for file in record.models.values()
    )
    columns = ("file", "precision", "graph", "size", "max |Δ| against torch", "score")
    tables = [text.Table(f"ONNX, opset {record.opset}", columns, rows)]
    for file in record.models.values():
        if len(file.candidates) > 1:
            tables.append(_candidates(file.file, file.candidates, record.conditions))
    show_tables(tables)
    picked = [f"fastest {record.picked}"] if record.picked else []
    words = [f"vocabulary  {text.vocabulary_words(record.vocabulary)}"] if record.vocabulary else []
    show_lines([*record.notes, *words, *picked, f"folder  {record.folder}"])


def _candidates(name: str, rows: Sequence[Candidate], conditions: ExportConditions) -> Table:
    from cofi_cli import format as text

    cells = tuple(
        (
            row.name,
            row.case,
            text.milliseconds(row.p50_ms),
            f"{row.ratio:.2f}x ({row.interval[0]:.2f} to {row.interval[1]:.2f})",
            row.vs,
        )
        for row in rows
    )
    where = f"{conditions.provider}, {text.threads(conditions.threads)}"
    columns = ("graph", "case", "p50 ms", "speedup", "over")
    return text.Table(f"Tried for {name} ({where})", columns, cells)
