"""The rows of a benchmark's result, made of what was measured."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from cofi_cli.benchmarking.targets import Targets
from cofi_cli.benchmarking.task_batches import TaskBatches
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import machine
from cofi_cli.runs.digests import files_digest, weights_digest
from cofi_cli.runs.records import (
    BenchEnv,
    CaseRow,
    HeadlineRow,
    Machine,
    ModelRow,
    SpeedupRow,
)
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import THREAD_VARIABLES, WorkerClient
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.timing import Case, Schedule, Turns

AT_REST = "Run the same command again while nothing writes there."
"""What to do where a file changes while it is measured."""


class Content(NamedTuple):
    """Sizes of a model, and the sha256 of its files or of a checkpoint's weights.

    Attributes:
        bytes: of its own files.
        shipped_bytes: tokenizer and configuration as well.
        download_bytes: the same compressed.
    """

    bytes: int
    shipped_bytes: int
    download_bytes: int
    sha256: str | None


def speedup_rows(
    found: Targets, cases: Sequence[Case], timed: Mapping[str, Mapping[str, Turns]]
) -> tuple[list[SpeedupRow], list[HeadlineRow]]:
    """Return the speedup of each model over the baseline, and the headline of each pruned one.

    The first is stated whatever the precisions; the headline at equal precision, and the first
    with it as the product of pruning, precision and runtime.
    """
    speedups, headline = list[SpeedupRow](), list[HeadlineRow]()
    baseline = next((model for model in found.models if model.name == found.baseline), None)
    for case, model in product(cases, found.models):
        if baseline is None or model.name == baseline.name:
            continue
        turns = timed[case.name]
        over = statistics.speedup(turns[baseline.name], turns[model.name])
        place: dict[str, Any] = {"model": model.name, "case": case.name}
        place |= {"batch": case.batch, "seq_len": case.seq_len}
        row = SpeedupRow(
            **place,
            vs=baseline.name,
            equal_precision=model.precision == baseline.precision,
            ratio=over.ratio,
            interval=over.interval,
            verdict=over.verdict,
        )
        speedups.append(row)
        if model.is_dense:
            continue
        own = found.equal_baseline(model)
        of = statistics.speedup(turns[own.name], turns[model.name]) if own else None
        headline.append(
            HeadlineRow(
                **place,
                precision=model.precision,
                vs=own.name if own else None,
                ratio=of.ratio if of else None,
                interval=of.interval if of else None,
                verdict=of.verdict if of else None,
                product_vs=baseline.name,
                product=over.ratio,
                product_interval=over.interval,
                product_verdict=over.verdict,
            )
        )
    return speedups, headline


def equal_rows(speedups: Sequence[SpeedupRow], headline: Sequence[HeadlineRow]) -> list[SpeedupRow]:
    """Return what a threshold is held against: the headline, else the speedup over the baseline.

    Rows against a baseline of another precision say so with ``equal_precision``.
    """
    names = {"vs", "ratio", "interval", "verdict"}
    equal = {
        (row.model, row.case): row.model_dump(include=names) | {"equal_precision": True}
        for row in headline
        if row.vs is not None
    }
    return [row.model_copy(update=equal.get((row.model, row.case), {})) for row in speedups]


def case_row(
    model: Model, case: Case, turns: Turns, provider: str, own: TaskBatches | None = None
) -> CaseRow:
    """Return the latency of one model in one case, in milliseconds, with its raw samples.

    ``own`` are the batches of a case with the task's rows.
    """
    summary = statistics.summarize(turns)
    return CaseRow(
        model=model.name,
        provider=provider,
        runtime=model.runtime,
        precision=model.precision,
        case=case.name,
        batch=case.batch,
        seq_len=case.seq_len,
        rows=len(own.batches) * case.batch if own else None,
        mean_tokens=own.mean_tokens if own else None,
        mean_length=own.mean_length if own else None,
        runs=summary.runs,
        p50_ms=summary.p50 * 1e3,
        p90_ms=summary.p90 * 1e3,
        p99_ms=summary.p99 * 1e3,
        mean_ms=summary.mean * 1e3,
        throughput=case.batch / summary.mean,
        samples_ms=[[run * 1e3 for run in turn] for turn in turns],
    )


def content_of(model: Model) -> Content:
    """Return sizes of a model, and what its files hold as one digest.

    Raises:
        CofiError: a file cannot be read (exit code 6).
    """
    is_file = model.runtime == "onnxruntime"
    try:
        digest = files_digest(model.files) if is_file else weights_digest(str(model.path))
        shipped = [(file.stat().st_size, _compressed(file)) for file in model.shipped]
        return Content(
            bytes=model.bytes,
            shipped_bytes=sum(size for size, _ in shipped),
            download_bytes=sum(size for _, size in shipped),
            sha256=digest,
        )
    except OSError as error:
        raise CofiError(
            f"{model.path} was opened, and cannot be read now: {error.strerror or error}.",
            hint=AT_REST,
            exit_code=UNREACHABLE,
        ) from error


def _compressed(file: Path) -> int:
    """Return the bytes of a file after deflate at its fastest level, as a download has them."""
    packer, size = zlib.compressobj(level=1), 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            size += len(packer.compress(block))
    return size + len(packer.flush())


def model_row(worker: WorkerClient, model: Model, first_run: float, content: Content) -> ModelRow:
    """Return what there is to say of a file, as a process opened it, and of that process.

    ``first_run`` are the seconds of its very first run.
    """
    return ModelRow(
        name=model.name,
        file=str(model.path),
        **content._asdict(),
        precision=model.precision,
        form=model.form,
        size=model.size,
        of=model.of,
        runtime=model.runtime,
        providers=worker.info["providers"],
        load_seconds=worker.info["load_seconds"],
        start_seconds=worker.start_seconds,
        first_run_seconds=first_run,
        cold_start_seconds=worker.start_seconds + first_run,
        peak_rss_bytes=worker.ask("memory")["peak_bytes"],
    )


def bench_env(
    here: Machine,
    workers: Sequence[WorkerClient],
    provider: str,
    threads: int,
    schedule: Schedule,
) -> BenchEnv:
    """Return the machine, and what was fixed while measuring."""
    info = {name: worker.info for worker in reversed(workers) for name in worker.info}
    return BenchEnv(
        **dict(here),
        onnxruntime=info["onnxruntime"]["onnxruntime"],
        torch=info["torch"]["torch"] if "torch" in info else None,
        packages=machine.versions("onnxruntime", "onnxruntime-gpu"),
        provider=provider,
        providers=workers[0].info["providers"],
        threads=threads,
        inter_op_threads=1,
        thread_variables=dict.fromkeys(THREAD_VARIABLES, threads),
        warmup=schedule.warmup,
        rounds=len(schedule.turns()),
        min_seconds=schedule.min_seconds,
        max_seconds=schedule.max_seconds,
        seed=schedule.seed,
    )
