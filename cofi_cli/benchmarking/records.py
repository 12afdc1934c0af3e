"""The rows of bench.json, field by field."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cofi_cli.benchmarking.targets import Targets
from cofi_cli.runs import machine
from cofi_cli.runs.export_record import files_digest, weights_digest
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import THREAD_VARIABLES, WorkerClient
from cofi_cli.runtime.disturbance import BUSY
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.timing import Case, Schedule, Turns

Row = dict[str, Any]
Timed = Mapping[str, Mapping[str, Turns]]
"""Case's name -> model's name -> its turns."""


def speedup_rows(found: Targets, cases: Sequence[Case], timed: Timed) -> list[Row]:
    """Return the speedup of each model over the baseline, whatever their precisions."""
    if found.baseline is None:
        return []
    baseline = next(m for m in found.models if m.name == found.baseline)
    return [
        {
            **_place(model, case),
            "vs": baseline.name,
            "equal_precision": model.precision == baseline.precision,
            **_speedup(timed[case.name], baseline, model),
        }
        for case in cases
        for model in found.models
        if model.name != baseline.name
    ]


def headline_rows(
    found: Targets, cases: Sequence[Case], timed: Timed, speedups: Sequence[Row]
) -> list[Row]:
    """Return the speedup of each pruned model at equal precision, and beside it the product.

    ``vs`` is the dense model of the same precision and runtime, ``None`` (and with
    it the ratio) where there is none. ``product`` is against the baseline: pruning,
    precision and runtime together, with its own interval and verdict.

    Args:
        found: the models.
        cases: what was timed.
        timed: seconds.
        speedups: of :func:`speedup_rows`, which hold the products.
    """
    products = {(row["model"], row["case"]): row for row in speedups}
    rows = []
    for case in cases:
        for model in found.models:
            product = products.get((model.name, case.name))
            if model.is_dense or product is None:
                continue
            own = found.equal_baseline(model)
            if own is None:
                equal: Row = dict.fromkeys(("ratio", "interval", "verdict"))
            else:
                equal = _speedup(timed[case.name], own, model)
            rows.append(
                {
                    **_place(model, case),
                    "precision": model.precision,
                    "vs": own.name if own else None,
                    **equal,
                    "product_vs": found.baseline,
                    "product": product["ratio"],
                    "product_interval": product["interval"],
                    "product_verdict": product["verdict"],
                }
            )
    return rows


def gate_rows(speedups: Sequence[Row], headline: Sequence[Row]) -> list[Row]:
    """Return what a threshold is held against: the headline, else the speedup over the baseline.

    Rows against a baseline of another precision say so with ``equal_precision``.
    """
    equal = {
        (row["model"], row["case"]): {**row, "equal_precision": True}
        for row in headline
        if row["vs"] is not None
    }
    return [equal.get((row["model"], row["case"]), row) for row in speedups]


def case_row(
    model: Model, case: Case, turns: Turns, provider: str, lengths: Mapping[str, Any] | None = None
) -> Row:
    """Return the latency of one model in one case, in milliseconds, with its raw samples.

    ``lengths`` says of a case with the task's rows how long they are.
    """
    summary = statistics.summarize(turns)
    return {
        "model": model.name,
        "provider": provider,
        "runtime": model.runtime,
        "precision": model.precision,
        "case": case.name,
        "batch": case.batch,
        "seq_len": case.seq_len,
        **(lengths or {}),
        "runs": summary.runs,
        "p50_ms": summary.p50 * 1e3,
        "p90_ms": summary.p90 * 1e3,
        "p99_ms": summary.p99 * 1e3,
        "mean_ms": summary.mean * 1e3,
        "throughput": case.batch / summary.mean,
        "samples_ms": [[run * 1e3 for run in turn] for turn in turns],
    }


def unmeasured_rows(cases: Sequence[Case], timed: Timed) -> list[Row]:
    """Return a row for each case that has no latencies, with the reason."""
    return [
        {"case": case.name, "batch": case.batch, "seq_len": case.seq_len, "reason": BUSY}
        for case in cases
        if not timed[case.name]
    ]


def content_row(model: Model) -> Row:
    """Return sizes of a model, and the sha256 of its files or of a checkpoint's weights.

    ``bytes`` counts its own files, ``shipped_bytes`` also tokenizer and configuration, and
    ``download_bytes`` the same compressed.
    """
    is_file = model.runtime == "onnxruntime"
    digest = files_digest(model.files) if is_file else weights_digest(str(model.path))
    shipped = [(file.stat().st_size, _compressed(file)) for file in model.shipped]
    return {
        "bytes": model.bytes,
        "shipped_bytes": sum(size for size, _ in shipped),
        "download_bytes": sum(size for _, size in shipped),
        "sha256": digest,
    }


def _compressed(file: Path) -> int:
    """Return the bytes of a file after deflate at its fastest level, as a download has them."""
    packer, size = zlib.compressobj(level=1), 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            size += len(packer.compress(block))
    return size + len(packer.flush())


def model_row(worker: WorkerClient, model: Model, first_run: float, content: Row) -> Row:
    """Return what there is to say of a file and of the process that ran it.

    Args:
        worker: the process.
        model: the file.
        first_run: seconds of the very first run.
        content: of :func:`content_row`, as the process opened it.
    """
    return {
        "name": model.name,
        "file": str(model.path),
        **content,
        "precision": model.precision,
        "form": model.form,
        "runtime": model.runtime,
        "providers": worker.info["providers"],
        "load_seconds": worker.info["load_seconds"],
        "start_seconds": worker.start_seconds,
        "first_run_seconds": first_run,
        "cold_start_seconds": worker.start_seconds + first_run,
        "peak_rss_bytes": worker.ask("memory")["peak_bytes"],
    }


def session_env(
    workers: Sequence[WorkerClient], provider: str, threads: int, schedule: Schedule
) -> Row:
    """Return what was fixed while measuring."""
    info = {name: worker.info for worker in reversed(workers) for name in worker.info}
    torch = {"torch": info["torch"]["torch"]} if "torch" in info else {}
    return {
        "onnxruntime": info["onnxruntime"]["onnxruntime"],
        **torch,
        "packages": machine.versions("onnxruntime", "onnxruntime-gpu"),
        "provider": provider,
        "providers": workers[0].info["providers"],
        "threads": threads,
        "inter_op_threads": 1,
        "thread_variables": dict.fromkeys(THREAD_VARIABLES, threads),
        "warmup": schedule.warmup,
        "rounds": len(schedule.turns()),
        "min_seconds": schedule.min_seconds,
        "max_seconds": schedule.max_seconds,
        "seed": schedule.seed,
    }


def _place(model: Model, case: Case) -> Row:
    return {"model": model.name, "case": case.name, "batch": case.batch, "seq_len": case.seq_len}


def _speedup(timed: Mapping[str, Turns], baseline: Model, model: Model) -> Row:
    of = statistics.speedup(timed[baseline.name], timed[model.name])
    return {"ratio": of.ratio, "interval": [of.low, of.high], "verdict": of.verdict}
