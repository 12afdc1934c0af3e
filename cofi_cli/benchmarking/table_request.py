"""A latency table as it is asked for: a model by name, a case, and a task whose lengths it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.benchmarking.latency_table import (
    SCHEDULE,
    Report,
    dense_config,
    measure_table,
    usual_length,
)
from cofi_cli.benchmarking.task_batches import MAX_ROWS, cut
from cofi_cli.config import CaseConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.runs import RunDir
from cofi_cli.runs.find import is_run
from cofi_cli.runtime.inputs import task_rows
from cofi_cli.runtime.lengths import tokenizer_limit
from cofi_cli.runtime.timing import Case, Schedule

if TYPE_CHECKING:
    from cofi_cli.tasks import Task


def dense_model(place: Path) -> str:
    """Return the dense model that a run, a folder or a hub id stands for.

    Raises:
        CofiError: a run without its dense model (exit code 6).
    """
    run = RunDir(place)
    if not is_run(run):
        return str(place)
    if not (run.teacher / "config.json").exists():
        raise CofiError(
            f"{place} holds a run without its dense model.",
            hint="Name the model itself: cofi bench MODEL --table",
            exit_code=UNREACHABLE,
        )
    return str(run.teacher)


def request_table(
    model: str,
    asked: CaseConfig,
    *,
    task: Task | None = None,
    schedule: Schedule = SCHEDULE,
    report: Report = lambda *_: None,
) -> LatencyTable:
    """Measure the table of a model in the case asked for.

    Args:
        model: a dense model's folder or hub id.
        asked: the case; without a length 128 tokens, or the longest that the model takes.
        task: whose rows are timed where the length is ``task``.
        schedule: of each stack.
        report: told before each point.

    Raises:
        CofiError: the case does not fit the model or the machine, or no task is known.
    """
    config = dense_config(model)
    case = Case(asked.batch or 1, asked.seq_len or usual_length(config))
    batches = task_rows_of(model, config, task, case) if case.seq_len == "task" else []
    return measure_table(
        config,
        case,
        provider=asked.provider or "cpu",
        precision=asked.precision or "fp32",
        threads=asked.threads,
        schedule=schedule,
        task=task.name if task is not None and batches else None,
        batches=batches,
        report=report,
    )


def task_rows_of(
    model: str, config: CofiConfig, task: Task | None, case: Case
) -> list[dict[str, Any]]:
    """Return validation rows of a task as batches, for a model's tokenizer.

    Raises:
        CofiError: no task is known, or it has fewer rows than a batch takes.
    """
    from cofi_cli.architectures import load_tokenizer

    if task is None:
        raise CofiError(
            "seq_len is 'task', but there is no task whose rows give the lengths.",
            hint="Name the task with --task, or give a length: --seq-len 128.",
        )
    most = config.longest_input if config.position == "learned" else task.max_length
    most = int(min(task.max_length, most, tokenizer_limit(model)))
    task = replace(task, max_length=most)
    tokenizer = load_tokenizer(model)
    rows = task_rows(task, tokenizer, limit=MAX_ROWS)
    return cut(rows, int(tokenizer.pad_token_id or 0), size=case.batch).batches
