"""``cofi bench``."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.flags import Flag, choices, flagged, given
from cofi_cli.cli.folders import check_places
from cofi_cli.cli.latency_table import measure_and_show, one_case
from cofi_cli.cli.progress import make_progress
from cofi_cli.config import BenchConfig, CaseConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.find import only_run
from cofi_cli.runs.records import BenchResult, RunReport, gate_error

if TYPE_CHECKING:
    from cofi_cli.runtime.timing import Progress
    from cofi_cli.training.stages.progress import Progress as TrainingProgress

_OUTPUT, _TABLE = "Output", "Latency table"
_METAVARS = {
    "baseline": "TARGET",
    "batch": "N,N",
    "seq_len": "N,N",
    "max_seconds": "S",
    "min_seconds": "S",
    "min_speedup": "X",
    "max_drop": "POINTS",
    "compare": "FILE",
    "fail_if": "EXPRESSION",
    "gate_case": "CASE",
    "gate_model": "MODEL",
    "task": "NAME",
    "data": "DIR",
}
_GATES = ("min_speedup", "max_drop", "compare", "fail_if", "gate_case", "gate_model")
_PANELS = dict.fromkeys(_GATES, "Gates (exit code 3 when one fails)")
_PANELS |= dict.fromkeys(("score", "score_rows", "task", "data"), "Scores")
FLAGS = {
    name: Flag(name, _METAVARS.get(name), _PANELS.get(name)) for name in BenchConfig.model_fields
}


@flagged(BenchConfig, FLAGS, unset=("batch",))
def bench(
    targets: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, model folders or ONNX files. Default: the latest run."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write bench.json to this file; with --table the table.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    ci_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the files that github-action-benchmark reads. "
            "(If GITHUB_STEP_SUMMARY names a file, the tables are appended to it.)",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    table: Annotated[
        bool,
        typer.Option(
            "--table",
            help="Measure a latency table of a dense model instead, for cofi prune --speedup. It "
            "holds the times of attention and feed-forward layers by their widths.",
            rich_help_panel=_TABLE,
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(choices(CaseConfig.model_fields["precision"])),
            help="Precision of the table. Default: fp32.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    **fields: Any,
) -> None:
    """Time and score models in turn, each in its own process.

    A run stands for every file of its export, at every precision. Models are scored on the task
    of the first run; models of runs with another task are timed but not scored.
    """
    config = given(BenchConfig, fields)
    prepare(quiet=quiet)
    places = targets or [RunDir.latest().root]
    check_places(output, ci_dir)
    if table:
        case = one_case(config, precision=precision)
        measure_and_show(places, case, config, output=output, as_json=as_json, quiet=quiet)
        return
    if precision is not None:
        raise CofiError(
            f"--precision {precision} sets the precision of a latency table, but --table is not "
            "given.",
            hint="Add --table. A benchmark times every precision that was exported.",
        )
    title = f"cofi bench {' '.join(map(str, places))}"
    say(f"Benchmarking {', '.join(map(str, places))}", quiet=quiet)
    from cofi_cli.api import bench_as, keep_bench

    run = only_run(places)
    with closing(make_progress(quiet=quiet)) as progress:
        result = bench_as(places, config, run=run, progress=_shown_by(progress))
    if as_json:
        show_json(result.as_json())
    else:
        _show(result, run)
    _write(result, output=output, ci_dir=ci_dir, title=title)  # last, for it may fail
    if run is not None:
        keep_bench(result, run)
    if (failed := gate_error(result.gates)) is not None:
        raise failed


def _show(result: BenchResult, run: RunDir | None) -> None:
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


def _shown_by(progress: TrainingProgress) -> Progress:
    """Return what passes a benchmark's turns on to the console."""
    started = False

    def report(what: str, done: int, total: int) -> None:
        nonlocal started
        is_score = what.startswith("score of")
        if not started or is_score:
            progress.stage(what if is_score else "bench", total)
            started = True
        progress.step({"step": done})

    return report


def _write(result: BenchResult, *, output: Path | None, ci_dir: Path | None, title: str) -> None:
    """Write the files that were asked for, before a failed gate ends the command."""
    if output is not None:
        result.write(output)
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if ci_dir is None and not step_summary:
        return
    from cofi_cli.report.ci import append_summary, write_ci_files

    if ci_dir is not None:
        for file in write_ci_files(ci_dir, result):
            say(f"Wrote {file}")
    if step_summary:
        append_summary(Path(step_summary), result, title=title)
