"""Records of made-up runs, exports and benchmarks: whole, with what a test is about changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cofi_cli.benchmarking.gates.fail_if import Condition
from cofi_cli.benchmarking.plan import BenchPlan
from cofi_cli.benchmarking.targets import Targets
from cofi_cli.config import BenchConfig, ExportConfig
from cofi_cli.config_errors import configured
from cofi_cli.runs.records import (
    BenchEnv,
    BenchResult,
    CaseRow,
    Environment,
    ExportedFile,
    ExportRecord,
    Machine,
    ModelRow,
    ModelSummary,
    RunReport,
    ScoreRow,
    SpeedupRow,
)
from cofi_cli.runtime.inspection import Graph
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.timing import Case, Schedule

MACHINE: dict[str, Any] = {
    "cpu": "Some CPU",
    "flags": ["avx2"],
    "cores": 2,
    "logical_cores": 4,
    "memory_gb": 8.0,
    "load_1min": 0.0,
    "os": "Linux",
    "python": "3.11",
    "gpu": None,
    "driver": None,
}
SESSION: dict[str, Any] = {
    "onnxruntime": "1.32.0",
    "packages": {"onnxruntime": "1.32.0", "onnxruntime-gpu": None},
    "provider": "cpu",
    "providers": ["CPUExecutionProvider"],
    "threads": 2,
    "inter_op_threads": 1,
    "thread_variables": {"OMP_NUM_THREADS": 2},
    "warmup": 3,
    "rounds": 10,
    "min_seconds": 0.0,
    "max_seconds": 30.0,
    "seed": 0,
}
PLACE: dict[str, Any] = {"case": "b1-s128", "batch": 1, "seq_len": 128}


def summary(score: float = 90.0, **changes: Any) -> ModelSummary:
    values = {
        "score": score,
        "scores": {"validation": {"accuracy": score}},
        "encoder_params": 1000,
        "prunable_params": 900,
        "total_params": 2000,
        "bytes": 8000,
    }
    return ModelSummary(**values | changes)


def run_report(**changes: Any) -> RunReport:
    values: dict[str, Any] = {
        "model_name": "tiny",
        "task": "sst2",
        "kind": "classification",
        "metric": "accuracy",
        "seed": 57,
        "model": summary(),
    }
    return RunReport(**values | changes)


def environment(**changes: Any) -> Environment:
    values: dict[str, Any] = {
        "command": "prune",
        "folder": "/somewhere",
        "python": "3.11.7",
        "platform": "Linux",
        "packages": {"torch": "2.13"},
        "cpu": "Some CPU",
        "cores": 2,
        "threads": 1,
        "device": "cpu",
        "gpu": None,
        "seed": 57,
        "data": {"train": "ab" * 32},
    }
    return Environment(**values | changes)


def exported_file(file: str = "model.onnx", **changes: Any) -> ExportedFile:
    values: dict[str, Any] = {
        "file": file,
        "size": "dense" if file.startswith("dense") else "model",
        "precision": "fp32",
        "form": "plain",
        "source": "run/model",
        "bytes": 1_000_000,
        "sha256": f"of {file}",
        "embeddings": changes.get("precision", "fp32"),
        "node_count": 1,
        "nodes": {"MatMul": 1},
    }
    return ExportedFile(**values | changes)


def export_record(*files: ExportedFile, **changes: Any) -> ExportRecord:
    models = {file.file.removesuffix(".onnx"): file for file in files}
    parity = {"max_abs_delta": 3e-6, "allowed": 1e-4, "tolerance": 1e-4, "inputs": "synthetic"}
    values: dict[str, Any] = {
        "source": "run",
        "head": "sequence",
        "folder": "run/onnx",
        "precision": "fp32",
        "graph": "plain",
        "opset": 18,
        "exporter": "torchscript",
        "inputs": ["input_ids", "attention_mask"],
        "conditions": {"provider": "cpu", "threads": 1, "batch": [1], "seq_len": [128]},
        "parity": parity,
        "models": models or {"model": exported_file()},
        "asked": ExportConfig(),
        "files": sorted(f"{name}.onnx" for name in models or ["model"]),
        "notes": [],
        "env": Machine(**MACHINE),
        "versions": {"torch": "2.13"},
        "seconds": 1.0,
    }
    return ExportRecord(**values | changes)


def model_row(name: str, **changes: Any) -> ModelRow:
    values: dict[str, Any] = {
        "name": name,
        "file": f"onnx/{name}.onnx",
        "bytes": 1_000_000,
        "shipped_bytes": 1_100_000,
        "download_bytes": 900_000,
        "sha256": f"of {name}",
        "precision": "fp32",
        "form": "plain",
        "size": "dense" if name.startswith("dense") else "model",
        "runtime": "onnxruntime",
        "providers": ["CPUExecutionProvider"],
        "load_seconds": 0.1,
        "start_seconds": 0.5,
        "first_run_seconds": 0.25,
        "cold_start_seconds": 0.75,
        "peak_rss_bytes": 2_000_000,
    }
    return ModelRow(**values | changes)


def case_row(model: str, p50: float = 2.0, **changes: Any) -> CaseRow:
    values: dict[str, Any] = {
        "model": model,
        "provider": "cpu",
        "runtime": "onnxruntime",
        "precision": "fp32",
        **PLACE,
        "runs": 30,
        "p50_ms": p50,
        "p90_ms": p50,
        "p99_ms": p50,
        "mean_ms": p50,
        "throughput": 1000 / p50,
        "samples_ms": [[p50]],
    }
    return CaseRow(**values | changes)


def speedup_row(model: str = "model", ratio: float = 12.0, **changes: Any) -> SpeedupRow:
    values: dict[str, Any] = {
        "model": model,
        **PLACE,
        "vs": "dense",
        "equal_precision": True,
        "ratio": ratio,
        "interval": (0.95 * ratio, 1.05 * ratio),
        "verdict": "faster",
    }
    return SpeedupRow(**values | changes)


def score_row(model: str = "model", score: float = 90.0, **changes: Any) -> ScoreRow:
    values: dict[str, Any] = {
        "model": model,
        "task": "sst2",
        "metric": "accuracy",
        "score": score,
        "scores": {"accuracy": score},
        "rows": 872,
        "rows_in_all": 872,
    }
    return ScoreRow(**values | changes)


def bench_result(**changes: Any) -> BenchResult:
    values: dict[str, Any] = {
        "env": BenchEnv(**MACHINE, **SESSION),
        "baseline": "dense",
        "models": [model_row("dense"), model_row("model")],
        "cases": [case_row("dense", 30.0), case_row("model", 2.5)],
        "speedups": [speedup_row()],
        "headline": [
            {
                **speedup_row().model_dump(exclude={"equal_precision"}),
                "precision": "fp32",
                "product_vs": "dense",
                "product": 12.0,
                "product_interval": (11.4, 12.6),
                "product_verdict": "faster",
            }
        ],
    }
    return BenchResult(**values | changes)


def bench_plan(
    *,
    models: Sequence[str] = ("dense", "model"),
    cases: Sequence[Case] = (Case(1, 128),),
    baseline: str | None = "dense",
    judged: tuple[str, ...] = ("model",),
    scored: Sequence[str] = ("dense", "model"),
    conditions: Sequence[Condition] = (),
    task: Any = "some task",
    **options: Any,
) -> BenchPlan:
    """A benchmark of files that are not there; ``options`` are of its configuration."""
    graph = Graph(nodes={}, precision="fp32", vocab=None, opset=18)
    named = {name: Model(name, Path(f"{name}.onnx"), graph) for name in {*models, *scored}}
    return BenchPlan(
        config=configured(BenchConfig, options),
        found=Targets(tuple(named[name] for name in models), baseline, judged=judged),
        run=None,
        cases=list(cases),
        schedule=Schedule(),
        threads=1,
        task=task,
        scored=[named[name] for name in scored],
        earlier=None,
        conditions=list(conditions),
    )
