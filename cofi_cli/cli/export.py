"""``cofi export``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.flags import choices, given, listed
from cofi_cli.config import ExportConfig
from cofi_cli.config.export import MAX_DROP, OPSETS
from cofi_cli.runs import RunDir

if TYPE_CHECKING:
    from cofi_cli.format import Table
    from cofi_cli.runs.records import Candidate, ExportConditions, ExportRecord

_D = ExportConfig()
_MEASURED = "Conditions to be fast in"


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
    precision: Annotated[
        str,
        typer.Option(
            metavar=choices(ExportConfig, "precision"),
            help="fp32 files, and int8 (for processors) or fp16 (for GPUs) files as well. auto "
            "makes those that suit the provider and names the fastest file.",
        ),
    ] = _D.precision,
    graph: Annotated[
        str,
        typer.Option(
            metavar="GRAPH",
            help=f"One of {choices(ExportConfig, 'graph', ', ')}. auto is the fastest by "
            "measurement; fused-lengths takes padding on the right only.",
        ),
    ] = _D.graph,
    portable: Annotated[
        bool, typer.Option("--portable", help="Use standard ONNX operators only.")
    ] = _D.portable,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help=f"Largest loss of score of int8 or fp16 files. Default: {MAX_DROP:g}.",
        ),
    ] = _D.max_drop,
    embeddings: Annotated[
        str,
        typer.Option(
            metavar=choices(ExportConfig, "embeddings"),
            help="Embedding tables: int8 stores a row in 8 bits with a scale of its own, fp32 "
            "keeps the precision of the file. auto takes int8 in int8 files.",
        ),
    ] = _D.embeddings,
    one_file: Annotated[
        bool,
        typer.Option(
            "--one-file",
            help="Write model.onnx alone, in the precision asked for (auto: the fastest), "
            "without the dense model.",
        ),
    ] = _D.one_file,
    vocab: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Keep N pieces of the tokenizer, the most used ones. auto keeps the fewest that "
            "lengthen held-out texts by less than 2 %. Default: all.",
        ),
    ] = None,
    embedding_rank: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Factorise the table of word vectors: N numbers a piece, and a matrix that "
            "widens them. Default: the table as it is.",
        ),
    ] = _D.embedding_rank,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Texts that --vocab and --embedding-rank are chosen by, one a line or in a "
            "column, next to the training rows of the task.",
        ),
    ] = _D.text,
    max_length: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Longest row in tokens that the files are to take. Position rows beyond it are "
            "left out. Default: what the model takes.",
        ),
    ] = _D.max_length,
    provider: Annotated[
        str,
        typer.Option(
            metavar=choices(ExportConfig, "provider"),
            help="Device to time the graphs on.",
            rich_help_panel=_MEASURED,
        ),
    ] = _D.provider,
    batch: Annotated[
        str,
        typer.Option(
            metavar="N,N",
            help="Batch sizes to time, separated by commas.",
            rich_help_panel=_MEASURED,
        ),
    ] = listed(_D.batch),
    seq_len: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Lengths in tokens to time, separated by commas. Default: 128, or the longest "
            "input of the model.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of threads. Default: one per physical core.",
            rich_help_panel=_MEASURED,
        ),
    ] = _D.threads,
    opset: Annotated[
        int,
        typer.Option(
            metavar=f"{OPSETS.start}..{OPSETS.stop - 1}", help="Version of the ONNX operators."
        ),
    ] = _D.opset,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write. Default: onnx/ in the source."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Built-in task to score on. Default: the task of the run."
        ),
    ] = _D.task,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder with the task's files.")
    ] = _D.data,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Export to ONNX, check the files against the torch model, and keep the fastest graph.

    A run is exported together with its dense teacher, so that their latencies can be compared.
    """
    config = given(ExportConfig, locals())
    prepare(quiet=quiet)
    del onnx  # the only format, with or without the flag
    place = source if source is not None else str(RunDir.latest().root)
    say(f"Exporting {place}", quiet=quiet)
    from cofi_cli.api import export_as

    record = export_as(place, config, output=output)
    if as_json:
        show_json(record.as_json())
    else:
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
    where = f"{conditions.provider}, {conditions.threads} threads"
    columns = ("graph", "case", "p50 ms", "speedup", "over")
    return text.Table(f"Tried for {name} ({where})", columns, cells)
