"""What ``cofi bench`` shows of a result."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cofi_cli.cli.console import show_lines, show_tables
from cofi_cli.errors import CofiError
from cofi_cli.runs.records import RunReport

if TYPE_CHECKING:
    from cofi_cli.runs import RunDir
    from cofi_cli.runs.records import BenchResult


def show_result(result: BenchResult, run: RunDir | None) -> None:
    """Write the tables to stdout; of a single run also its summary, and where its files are."""
    from cofi_cli.format import threads
    from cofi_cli.report import tables as t

    tables = [t.case_table(result), t.score_table(result), t.curve_table(result)]
    tables += [t.change_table(result), t.gate_table(result)]
    lines: list[str] = []
    if run is not None:
        with suppress(CofiError):  # the warning about a broken report was logged by then
            tables.append(t.summary_table(RunReport.read(run.report_json), result))
            lines = [f"report  {run.report_md}"]
            drawn = [run.structure] if run.structure.exists() else []
            drawn += [run.curve] if result.curve is not None else []  # with the report, after this
            lines += [f"picture {file}" for file in drawn]
    env = result.env
    left_out = [f"left out: {row.name}: {row.reason}" for row in result.left_out]
    machine = f"{env.cpu}, {threads(env.threads)}, onnxruntime {env.onnxruntime}"
    show_tables(tables)
    show_lines([*left_out, machine, *lines])
