"""``export()`` and ``bench()`` as Python calls them; the commands run these very functions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from typing_extensions import Unpack

from cofi_cli.benchmarking.bench import keep, run_bench
from cofi_cli.config import BenchConfig, ExportConfig
from cofi_cli.config.export import Embeddings, GraphName, Precision
from cofi_cli.config.section import Provider
from cofi_cli.config_errors import configured
from cofi_cli.errors import CofiError
from cofi_cli.exporting.candidates import SCHEDULE
from cofi_cli.exporting.export import run_export
from cofi_cli.report.report import refresh
from cofi_cli.runs import RunDir
from cofi_cli.runs.find import only_run, run_of
from cofi_cli.runs.records import BenchResult, ExportRecord
from cofi_cli.runs.sizes import size_folders
from cofi_cli.runtime.named_task import named_task
from cofi_cli.runtime.timing import Progress, Schedule
from cofi_cli.tolerances import EXPORT

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


class ExportOptions(TypedDict, total=False):
    """Fields of :class:`cofi_cli.config.ExportConfig`, which holds their defaults."""

    precision: Precision
    graph: GraphName
    portable: bool
    provider: Provider
    batch: Sequence[int]
    seq_len: Sequence[int] | None
    threads: int | None
    max_drop: float | str | Sequence[float | str] | None
    opset: int
    data: str | None
    embeddings: Embeddings
    one_file: bool
    dense: bool
    vocab: int | Literal["auto"] | None
    embedding_rank: int | None
    text: str | None
    size: str | None
    max_length: int | None


class BenchOptions(TypedDict, total=False):
    """Fields of :class:`cofi_cli.config.BenchConfig`, which holds their defaults."""

    baseline: Path | None
    provider: Provider
    batch: Sequence[int]
    seq_len: Sequence[int | Literal["task"]] | None
    threads: int | None
    runs: int
    warmup: int
    max_seconds: float
    min_seconds: float | None
    all_sizes: bool
    torch: bool | None
    data: str | None
    score: bool
    score_rows: int | None
    min_speedup: float | None
    max_drop: float | str | Sequence[float | str] | None
    compare: Path | None
    fail_if: Sequence[str]
    gate_case: str | None
    gate_model: str | None


def export(
    source: Path | str,
    *,
    output: Path | None = None,
    task: Task | str | None = None,
    tolerance: float = EXPORT,
    schedule: Schedule = SCHEDULE,
    **options: Unpack[ExportOptions],
) -> ExportRecord:
    """Export a run, a model folder or a hub id; see :func:`cofi_cli.exporting.export.run_export`.

    Args:
        source: what is exported.
        output: the folder to write; by default ``onnx/`` inside the source.
        task: whose rows parity and scores are seen on, or the name of a built-in one.
        tolerance: the largest difference of a logit that passes, fp32.
        schedule: how long each candidate is timed.
        options: fields of :class:`cofi_cli.config.ExportConfig`.

    Returns:
        The content of export.json.
    """
    own = None if isinstance(task, str) else task
    name = task if isinstance(task, str) else None
    config = configured(ExportConfig, {**options, "task": name})
    return export_as(
        source, config, output=output, task=own, tolerance=tolerance, schedule=schedule
    )


def export_as(
    source: Path | str,
    config: ExportConfig,
    *,
    output: Path | None = None,
    task: Task | None = None,
    tolerance: float = EXPORT,
    schedule: Schedule = SCHEDULE,
) -> ExportRecord:
    """Export as a configuration says, and draw the report again if the folder is a run's own."""
    record = run_export(
        source, config, output=output, task=task, tolerance=tolerance, schedule=schedule
    )
    folder = Path(record.folder)
    run = run_of(folder)
    if run is not None and run.onnx.resolve() == folder.resolve():
        refresh(run)
    return record


def export_sizes(run: Path, config: ExportConfig) -> list[ExportRecord]:
    """Export every size of a run, the chosen one first, into ``onnx/`` of the size's folder.

    The dense model is exported once, beside the chosen size.

    Raises:
        CofiError: as :func:`export`; or the run made one size only.
    """
    alone = config.model_copy(update={"dense": False})
    chosen, *others = size_folders(RunDir(run)).values()
    return [export_as(chosen.root, config), *(export_as(size.root, alone) for size in others)]


def bench(
    targets: Sequence[Path],
    *,
    task: Task | str | None = None,
    progress: Progress | None = None,
    **options: Unpack[BenchOptions],
) -> BenchResult:
    """Time and score models side by side; see :func:`cofi_cli.benchmarking.bench.run_bench`.

    For a single run as target, bench.json and the run's report are written, with a warning where
    they cannot be. A failed gate is a row of the result, not an error: see
    :func:`cofi_cli.runs.records.gate_error`.

    Args:
        targets: runs, model folders, ONNX files.
        task: to score on, or the name of a built-in one; by default that of the first run.
        progress: called after each turn.
        options: fields of :class:`cofi_cli.config.BenchConfig`.

    Returns:
        The content of bench.json.
    """
    own = None if isinstance(task, str) else task
    name = task if isinstance(task, str) else None
    config = configured(BenchConfig, {**options, "task": name})
    run = only_run(targets)
    result = bench_as(targets, config, run=run, task=own, progress=progress)
    if run is not None:
        try:
            keep_bench(result, run)
        except CofiError as error:  # the minutes of timing are not lost with it
            logger.warning("%s", error.message)
    return result


def bench_as(
    targets: Sequence[Path],
    config: BenchConfig,
    *,
    run: RunDir | None = None,
    task: Task | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Benchmark as a configuration says; nothing is written but exports that are missing.

    Args:
        targets, task, progress: as of :func:`bench`.
        config: what is measured and judged.
        run: the finished run that is the only target, if it is one.
    """
    return run_bench(
        targets,
        config,
        run=run,
        exporter=export_as,
        task=task or named_task(config.task, config.data),
        progress=progress,
    )


def keep_bench(result: BenchResult, run: RunDir) -> None:
    """Write bench.json of a run, and draw its report again.

    Raises:
        CofiError: bench.json cannot be written (exit code 6).
    """
    keep(result, run)
    refresh(run)
