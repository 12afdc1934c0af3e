"""``cofi bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.progress import make_progress
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir, read_json

if TYPE_CHECKING:
    from cofi_cli.deploy.bench import BenchResult
    from cofi_cli.tasks import Task

_GATES, _SCORES = "Gates (exit code 3 when one fails)", "Scores"


def bench(
    targets: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, model folders or ONNX files; by default the latest run."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="What the others are compared with.")
    ] = None,
    provider: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch: Annotated[str, typer.Option(help="Batch sizes, comma between.")] = "1,32",
    seq_len: Annotated[str, typer.Option(help="Lengths in tokens, comma between.")] = "128",
    threads: Annotated[
        int | None, typer.Option(help="Threads of an operator; by default one per core.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Timed runs per model and case.")] = 30,
    warmup: Annotated[int, typer.Option(help="Untimed runs before them.")] = 3,
    max_seconds: Annotated[
        float, typer.Option(help="Seconds per model and case; slow cases get fewer runs.")
    ] = 30.0,
    min_speedup: Annotated[
        float | None, typer.Option(help="Smallest speedup.", rich_help_panel=_GATES)
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Most points of score lost.", rich_help_panel=_GATES)
    ] = None,
    gate_case: Annotated[
        str | None,
        typer.Option(help="Judge this case, such as b1-s128.", rich_help_panel=_GATES),
    ] = None,
    score: Annotated[
        bool, typer.Option(help="Score the ONNX files.", rich_help_panel=_SCORES)
    ] = True,
    score_rows: Annotated[
        int | None, typer.Option(help="On the first so many rows.", rich_help_panel=_SCORES)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Score on this; by default the run's.", rich_help_panel=_SCORES),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of the task.", rich_help_panel=_SCORES)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write bench.json here as well.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Time and score models side by side, each in its own process."""
    prepare(quiet=quiet)
    places = targets or [RunDir.latest().root]
    shapes = numbers("--batch", batch), numbers("--seq-len", seq_len)
    say(f"Benchmarking {', '.join(map(str, places))}", quiet=quiet)
    from cofi_cli.deploy.bench import bench as run_bench
    from cofi_cli.deploy.gates import gate_error

    progress = make_progress(quiet=quiet)
    started = False

    def report(what: str, done: int, total: int) -> None:
        nonlocal started
        if not started or what.startswith("score of"):
            progress.stage("bench" if not what.startswith("score of") else what, total)
            started = True
        progress.step({"step": done})

    try:
        result = run_bench(
            places,
            baseline=baseline,
            provider=provider,
            batch=shapes[0],
            seq_len=shapes[1],
            threads=threads,
            runs=runs,
            warmup=warmup,
            max_seconds=max_seconds,
            task=_task(task, data),
            score=score,
            score_rows=score_rows,
            min_speedup=min_speedup,
            max_drop=max_drop,
            gate_case=gate_case,
            progress=report,
        )
    finally:
        progress.close()
    if output is not None:
        result.write(output)
    if as_json:
        show_json(result.to_json())
    else:
        _show(result)
    failed = gate_error(result.gates)
    if failed is not None:
        raise failed


def numbers(flag: str, text: str) -> list[int]:
    """Read ``1,32``.

    Raises:
        CofiError: something in it is not a whole number.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise CofiError(
            f"{flag} is '{text}'; expected whole numbers with commas between, such as 1,32."
        ) from None


def _task(name: str | None, data: str | None) -> Task | None:
    if name is None:
        return None
    from cofi_cli.config import TaskConfig
    from cofi_cli.tasks import load_task

    return load_task(TaskConfig(name=name, data=data))


def _show(result: BenchResult) -> None:
    from cofi_cli.deploy.tables import case_table, gate_table, score_table, summary_table

    values, run = result.to_json(), result.run
    tables = [case_table(values), score_table(values), gate_table(values)]
    lines = []
    if run is not None and run.report_json.exists():
        tables.append(summary_table(read_json(run.report_json), values))
        lines = [f"report  {run.report_md}"]
        if run.structure.exists():
            lines.append(f"picture {run.structure}")
    show_tables(tables)
    env = result.env
    show_lines(
        [f"{env['cpu']}, {env['threads']} threads, onnxruntime {env['onnxruntime']}", *lines]
    )
