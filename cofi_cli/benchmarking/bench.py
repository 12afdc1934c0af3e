"""Benchmark models side by side: what a deployer will see, with its uncertainty."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.benchmarking.conclude import conclude
from cofi_cli.benchmarking.measure import measure
from cofi_cli.benchmarking.plan import resolve
from cofi_cli.benchmarking.refuse import refuse
from cofi_cli.benchmarking.target_files import Exporter
from cofi_cli.config import BenchConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.export_folder import current_bench
from cofi_cli.runs.records import BenchResult
from cofi_cli.runtime.timing import Progress

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


def run_bench(
    targets: Sequence[Path],
    config: BenchConfig,
    *,
    exporter: Exporter,
    run: RunDir | None = None,
    task: Task | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Time and score models, each in a process of its own, in turn.

    Args:
        targets: see :func:`cofi_cli.benchmarking.targets.resolve_targets` for what each stands
            for.
        config: what is measured and judged.
        exporter: exports what is missing or of other weights.
        run: the finished run that is the only target, if it is one.
        task: to score on, in the place of that of the first run.
        progress: called after each turn.

    Raises:
        CofiError: a wrong argument (2), a provider that is not there or two builds of
            onnxruntime (5), a file that is missing or does not open (6).
    """
    plan = resolve(targets, config, run=run, task=task, exporter=exporter)
    notes = refuse(plan)
    measured = measure(plan, progress or (lambda *_: None))
    return conclude(plan, measured, notes)


def keep(result: BenchResult, run: RunDir) -> None:
    """Write the run's bench.json; an earlier one with a case that was not measured now is kept.

    Raises:
        CofiError: it cannot be written (exit code 6).
    """
    known: list[str] = []
    try:
        if result.unmeasured and (before := current_bench(run)) is not None:
            known = before.case_names
    except CofiError as error:
        logger.warning("%s It is replaced.", error.message)
    if kept := [row.case for row in result.unmeasured if row.case in known]:
        logger.warning("The run keeps its earlier benchmark, which has %s.", ", ".join(kept))
        return
    try:
        result.write(run.bench)
    except CofiError as error:
        raise CofiError(
            f"The run keeps no record of this benchmark: {error.message}",
            hint=error.hint,
            exit_code=error.exit_code,
        ) from error
