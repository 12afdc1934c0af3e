"""``cofi pick``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.next_step import next_step
from cofi_cli.errors import unknown
from cofi_cli.runs import RunDir
from cofi_cli.runs.claim import claim
from cofi_cli.runs.records import RunReport
from cofi_cli.runs.sizes import choose, sizes_of, take


def pick(
    run: Annotated[
        Path | None, typer.Argument(help="A run with several sizes. Default: the latest run.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Take the smallest size that loses at most this many points of validation score.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take the size of this name, such as 0.8.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Choose another size of a run, without training: model/ becomes that size.

    Without --max-drop and --size the sizes are shown.
    """
    prepare()
    place = RunDir(run) if run is not None else RunDir.latest()
    rows = sizes_of(place)
    if size is not None and size not in (names := [row.name for row in rows]):
        raise unknown("size", size, names)
    if size is not None or max_drop is not None:
        name = size if size is not None else choose(rows, max_drop).name
        from cofi_cli.report.report import write_report

        with claim(place):
            take(place, name, max_drop=max_drop)
        write_report(place)
    report = RunReport.read(place.report_json)
    if as_json:
        values = report.as_json()
        show_json({key: values[key] for key in ("chosen", "sizes")})
        return
    from cofi_cli.report.tables import size_table

    show_tables([size_table(report)])
    show_lines([f"model   {place.model}", next_step(report, place, all_sizes=False)])
    for warning in report.warnings:
        say(f"Warning: {warning}")
