"""The rows of bench.json, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cofi_cli.deploy import environment, stats
from cofi_cli.deploy.client import THREAD_VARIABLES, WorkerClient
from cofi_cli.deploy.targets import Model, Targets
from cofi_cli.deploy.timing import Case, Schedule, Turns

Row = dict[str, Any]


def speedup_rows(
    found: Targets, cases: Sequence[Case], timed: dict[str, dict[str, Turns]]
) -> list[Row]:
    """Return the speedup of each model over the baseline, case by case."""
    if found.baseline is None:
        return []
    precision = {m.name: m.graph.precision for m in found.models}
    rows = []
    for case in cases:
        for model in found.models:
            if model.name == found.baseline:
                continue
            of = stats.speedup(timed[case.name][found.baseline], timed[case.name][model.name])
            rows.append(
                {
                    "model": model.name,
                    "vs": found.baseline,
                    "case": case.name,
                    "batch": case.batch,
                    "seq_len": case.seq_len,
                    "equal_precision": precision[model.name] == precision[found.baseline],
                    "ratio": of.ratio,
                    "interval": [of.low, of.high],
                    "verdict": of.verdict,
                }
            )
    return rows


def case_row(model: Model, case: Case, turns: Turns, provider: str) -> Row:
    """Return the latency of one model in one case, in milliseconds, with its raw samples."""
    summary = stats.summarize(turns)
    return {
        "model": model.name,
        "provider": provider,
        "precision": model.graph.precision,
        "case": case.name,
        "batch": case.batch,
        "seq_len": case.seq_len,
        "runs": summary.runs,
        "p50_ms": summary.p50 * 1e3,
        "p90_ms": summary.p90 * 1e3,
        "p99_ms": summary.p99 * 1e3,
        "mean_ms": summary.mean * 1e3,
        "throughput": case.batch / summary.mean,
        "samples_ms": [[run * 1e3 for run in turn] for turn in turns],
    }


def model_row(worker: WorkerClient, model: Model) -> Row:
    """Return what there is to say of a file and of the process that ran it."""
    return {
        "name": model.name,
        "file": str(model.path),
        "bytes": model.path.stat().st_size,
        "precision": model.graph.precision,
        "providers": worker.info["providers"],
        "load_seconds": worker.info["load_seconds"],
        "peak_rss_bytes": worker.ask("memory")["peak_bytes"],
    }


def session_env(worker: WorkerClient, provider: str, threads: int, schedule: Schedule) -> Row:
    """Return what was fixed while measuring."""
    return {
        "onnxruntime": worker.info["onnxruntime"],
        "packages": environment.versions("onnxruntime", "onnxruntime-gpu"),
        "provider": provider,
        "providers": worker.info["providers"],
        "threads": threads,
        "inter_op_threads": 1,
        "thread_variables": dict.fromkeys(THREAD_VARIABLES, threads),
        "warmup": schedule.warmup,
        "rounds": len(schedule.turns()),
        "seed": schedule.seed,
    }
