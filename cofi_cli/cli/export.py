"""``cofi export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.bench import numbers
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.runs import RunDir

if TYPE_CHECKING:
    from cofi_cli.format import Table

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
            metavar="fp32|int8|fp16|auto",
            help="fp32 files, and int8 (for processors) or fp16 (for GPUs) files as well. auto "
            "makes those that suit the provider and names the fastest file.",
        ),
    ] = "fp32",
    graph: Annotated[
        str,
        typer.Option(
            metavar="GRAPH",
            help="auto (the fastest by measurement), plain, packed, lean, fused, lean-fused, "
            "fused-skip or fused-lengths (padding on the right only).",
        ),
    ] = "auto",
    portable: Annotated[
        bool, typer.Option("--portable", help="Use standard ONNX operators only.")
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS", help="Largest loss of score of int8 or fp16 files. Default: 0.5."
        ),
    ] = None,
    embeddings: Annotated[
        str,
        typer.Option(
            metavar="auto|int8|fp32",
            help="Embedding tables: int8 stores a row in 8 bits with a scale of its own, fp32 "
            "keeps the precision of the file. auto takes int8 in int8 files.",
        ),
    ] = "auto",
    one_file: Annotated[
        bool,
        typer.Option(
            "--one-file",
            help="Write model.onnx alone, in the precision asked for (auto: the fastest), "
            "without the dense model.",
        ),
    ] = False,
    vocab: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Keep N pieces of the tokenizer, the most used ones. auto keeps the fewest that "
            "lengthen held-out texts by less than 2 %. Default: all.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Texts that --vocab is chosen by, one a line or in a column, next to the "
            "training rows of the task.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Longest row in tokens that the files are to take. Position rows beyond it are "
            "left out. Default: what the model takes.",
        ),
    ] = None,
    provider: Annotated[
        str,
        typer.Option(
            metavar="cpu|cuda",
            help="Device to time the graphs on.",
            rich_help_panel=_MEASURED,
        ),
    ] = "cpu",
    batch: Annotated[
        str,
        typer.Option(
            metavar="N,N",
            help="Batch sizes to time, separated by commas.",
            rich_help_panel=_MEASURED,
        ),
    ] = "1",
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
    ] = None,
    opset: Annotated[
        int, typer.Option(metavar="17..20", help="Version of the ONNX operators.")
    ] = 18,
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
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder with the task's files.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Export to ONNX, check the files against the torch model, and keep the fastest graph.

    A run is exported together with its dense teacher, so that their latencies can be compared.
    """
    prepare(quiet=quiet)
    del onnx  # the only format, with or without the flag
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
        embeddings=embeddings,
        one_file=one_file,
        vocab=vocab,
        text=text,
        max_length=max_length,
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
    trimmed = report["vocabulary"]
    words = [f"vocabulary  {text.vocabulary_words(trimmed)}"] if trimmed else []
    show_lines([*report["notes"], *words, *picked, f"folder  {report['folder']}"])


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
