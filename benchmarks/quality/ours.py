"""Our row: a teacher, ``cofi prune``, and what a run's files say of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tasks import WITH_TEXT, Cell
from texts import text_file

from cofi_cli.config import RunConfig
from cofi_cli.tasks import Encoded, Task, load_task
from cofi_cli.training.preflight.embedder import task_tokenizer

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "ablation")]

import pairs  # noqa: E402
from runs import cofi, prune, read, settings_of  # noqa: E402

Json = dict[str, Any]


def arguments(cell: Cell) -> list[object]:
    """Return what names a cell's task, seed and preset."""
    row = cell.row
    if row.folder is None:
        folder = pairs.folder_of(cell.name, cell.data, cell.output)
    else:
        folder = cell.data / row.folder
    preset = ["--preset", row.preset] if row.preset else []
    own = ["--task", row.task, "--data", folder, *preset]
    return [*own, "--seed", cell.seed, "--threads", cell.threads]


def teacher(cell: Cell) -> str:
    """Return the teacher's folder, trained unless it is there; an embedder is its own."""
    if not cell.row.has_teacher:
        return cell.model
    run = cell.shared / "teacher"
    if not (run / "report.json").exists():
        resume = ["--resume"] if (run / "config.yaml").exists() else []
        sets = settings_of(cell.row.settings)
        cofi("finetune", cell.model, *arguments(cell), "-o", run, *sets, *resume)
    return str(run / "model")


def ours(cell: Cell, name: str = "ours") -> Json:
    """Prune, unless that is done; return scores and costs.

    Args:
        cell: task, sparsity and seed.
        name: of the run's folder; ``WITH_TEXT`` has unlabelled text in the place of changed copies.
    """
    run, settings = cell.folder / name, dict(cell.row.settings)
    own = [] if not cell.row.has_teacher else ["--teacher", teacher(cell)]
    if name == WITH_TEXT:
        own += ["--extra", text_file(cell.data, cell.output)]
        settings["distill.augment"] = 0
    prune(
        run,
        *(cell.model, *arguments(cell), "--sparsity", cell.sparsity, *own),
        settings=settings,
    )
    report = read(run / "report.json")
    return {
        **summary(report["model"], report["stages"]),
        "realised": report["sparsity"]["realised"],
        "structure": report["structure"],
    }


def teacher_row(cell: Cell) -> Json:
    """Return the teacher's scores, as our run measured them, and its costs."""
    report = read(cell.folder / "ours" / "report.json")
    trained = cell.shared / "teacher" / "report.json"
    stages = read(trained)["stages"] if cell.row.has_teacher else {}
    return {**summary(report["teacher"], stages), "metric": report["metric"]}


def summary(model: Mapping[str, Any], stages: Mapping[str, Any]) -> Json:
    """Return what all rows have, of a model as reports describe it."""
    return {
        "scores": model["scores"],
        "minutes": seconds(stages) / 60,
        "weights": model["prunable_params"],
        "bytes": model["bytes"],
    }


def seconds(stages: Mapping[str, Any]) -> float:
    """Return the training time of all stages, the teacher's outputs among it."""
    return sum(row["seconds"] + row.get("teacher_seconds", 0.0) for row in stages.values())


def measure(run: Path, cell: Cell) -> Json:
    """Export a run at fp32 and int8, time both; return latencies, sizes and int8's score."""
    case = ("--batch", 1, "--seq-len", cell.row.length, "--threads", cell.threads)
    if not (run / "onnx" / "export.json").exists():
        cofi("export", run, "--onnx", "--precision", "int8", *case)
    bench = run / f"bench-t{cell.threads}.json"
    if not bench.exists():  # its export has the scores
        cofi("bench", run, *case, "--no-score", "--no-torch", "-o", bench)
    exported = read(run / "onnx" / "export.json")["models"]
    scores = {name: row["score"] for name, row in exported.items() if row.get("score") is not None}
    return {**latencies(bench), "onnx_scores": scores}


def measure_file(file: Path, cell: Cell) -> Json:
    """Time an ONNX file; return its latency and size."""
    bench = file.with_suffix(f".bench-t{cell.threads}.json")
    if not bench.exists():
        case = ("--batch", 1, "--seq-len", cell.row.length, "--threads", cell.threads)
        cofi("bench", file, *case, "--no-score", "--no-torch", "-o", bench)
    return latencies(bench)


def latencies(bench: Path) -> Json:
    """Return the median milliseconds and the bytes of each file of a benchmark."""
    found = read(bench)
    return {
        "p50_ms": {case["model"]: case["p50_ms"] for case in found["cases"]},
        "onnx_bytes": {model["name"]: model["bytes"] for model in found["models"]},
    }


@dataclass(frozen=True)
class Opened:
    """A run's configuration, task and rows, for rivals that are trained in this process."""

    config: RunConfig
    task: Task
    tokenizer: Any
    splits: dict[str, Encoded]


def open_config(run: Path) -> RunConfig:
    """Return a run's configuration."""
    return RunConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text("utf-8")))


def open_run(run: Path) -> Opened:
    """Load what a run was trained on."""
    config = open_config(run)
    task = load_task(config.task)
    tokenizer = task.prepared(task_tokenizer(config.model, task))
    splits = {name: task.encode(name, tokenizer) for name in task.splits}
    return Opened(config, task, tokenizer, splits)
