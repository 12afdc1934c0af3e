"""Prune a real encoder on many tasks, to 80 % and 95 %: scores, ONNX speedups, seconds.

    python benchmarks/tasks/run.py ROW --data FOLDER --output FOLDER [--threads 2]
    python benchmarks/tasks/run.py all --data FOLDER --output FOLDER

FOLDER holds one folder a data set, named as in ROWS below. Each row trains one teacher, which
both sparsities share. Budgets are those of two cores without a GPU: far below the paper's, and
stated in the table. Writes results.json and results.md beside this file; rows that are there
already, of earlier calls, stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from runs import cofi, environment, prune, read  # noqa: E402

SPARSITIES = (0.8, 0.95)


@dataclass(frozen=True)
class Row:
    """A task and its budget.

    Attributes:
        task: arguments of ``cofi prune``; DATA stands for the data folder.
        settings: the budget, beside the preset; teacher, prune and recover.
        preset: what the settings are laid on.
        length: tokens of the latency cases.
        note: what a reader must know.
    """

    task: tuple[str, ...]
    settings: dict[str, object] = field(default_factory=dict)
    preset: str = "quick"
    length: int = 64
    note: str = ""


def _glue(name: str, folder: str = "", **settings: object) -> Row:
    return Row(
        ("--task", name, "--data", f"DATA/{folder or name}"),
        {key.replace("__", "."): value for key, value in settings.items()},
    )


_SMALL = {"task__max_length": 128, "prune__epochs": 5, "recover__epochs": 4}
ROWS = {
    "sst2": _glue(
        "sst2", teacher__epochs=1, prune__epochs=1, prune__dense_epochs=0.1,
        prune__ramp_epochs=0.3, recover__epochs=1,
    ),
    "mrpc": _glue("mrpc", **_SMALL),
    "rte": _glue("rte", **_SMALL),
    "cola": _glue("cola", prune__epochs=6, recover__epochs=4),
    "stsb": _glue("stsb", prune__epochs=5, recover__epochs=4),
    "wnut17": Row(
        ("--task", "wnut17", "--data", "DATA/wnut17"),
        {"teacher.epochs": 5, "prune.epochs": 8, "recover.epochs": 6},
    ),
    "squad": Row(
        ("--task", "squad", "--data", "DATA/squad_v1.1"),
        {
            "task.max_length": 256,
            "task.doc_stride": 64,
            "teacher.epochs": 1.5,
            "teacher.learning_rate": 1e-4,
            "prune.epochs": 1.5,
            "prune.dense_epochs": 0.1,
            "prune.ramp_epochs": 0.6,
            "prune.student_init": "teacher",
            "train.evals_per_epoch": 0.5,
            "recover.epochs": 1.5,
        },
        length=256,
        note="trained on 44 of the 442 training articles of SQuAD 1.1, scored on its whole dev set",
    ),
    "embedding": Row(
        ("--task", "stsb-embedding", "--data", "DATA/stsb"),
        preset="embedding",
        note="the teacher is the model itself; no label is read",
    ),
}  # fmt: skip


def run_row(name: str, data: Path, output: Path, threads: int) -> dict[str, Any]:
    """Make the runs of a row that are not there yet, export and time them; return results."""
    row = ROWS[name]
    task = [argument.replace("DATA", str(data)) for argument in row.task]
    teacher = output / name / f"{SPARSITIES[0]}" / "teacher"
    budget = {"preset": row.preset, **row.settings}
    found: dict[str, Any] = {"budget": budget, "note": row.note, "models": {}}
    for sparsity in SPARSITIES:
        run = output / name / f"{sparsity}"
        shared = sparsity != SPARSITIES[0] and name != "embedding"
        given = ["--teacher", str(teacher)] if shared else []
        arguments = ["demo", *task, "--preset", row.preset, "--sparsity", sparsity, *given]
        prune(run, *arguments, "--threads", threads, settings=row.settings)
        case = ("--batch", 1, "--seq-len", row.length, "--threads", threads)
        if not (run / "onnx" / "export.json").exists():
            cofi("export", run, "--onnx", "--precision", "int8", *case)
        if not (run / "bench.json").exists():
            cofi("bench", run, *case, "--no-score", "--no-torch")  # its export has the scores
        found["models"][str(sparsity)] = summary(run)
    found["environment"] = environment(output / name / f"{SPARSITIES[0]}")
    return found


def summary(run: Path) -> dict[str, Any]:
    """Return what the table says of one run."""
    report, bench = read(run / "report.json"), read(run / "bench.json")
    exported = read(run / "onnx" / "export.json")["models"]
    return {
        "metric": report["metric"],
        "teacher": report["teacher"]["scores"],
        "compact": report["model"]["scores"],
        "realised": report["sparsity"]["realised"],
        "structure": report["structure"],
        "onnx_scores": {name: row["score"] for name, row in exported.items()},
        "headline": {row["model"]: row for row in bench["headline"]},
        "seconds": {
            stage: row["seconds"] + row.get("teacher_seconds", 0.0)
            for stage, row in report["stages"].items()
        },
    }


def render(results: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Tasks, all-MiniLM-L6-v2",
        "",
        "Points on the dev set (test: where there are labels). Speedup: onnxruntime, batch 1, over",
        "the dense teacher at equal precision, 95 % interval. Seconds: pruning and recovery, at",
        "80 % the teacher too.",
        "",
        "| task | metric | target | teacher | compact | test | realised | fp32 | int8 "
        "| int8 over dense fp32 | int8 score | seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in results.items():
        for sparsity, model in row["models"].items():
            metric = model["metric"]
            test = model["compact"].get("test", {}).get(metric)
            cells = [
                name,
                metric,
                f"{100 * float(sparsity):.0f} %",
                f"{model['teacher']['validation'][metric]:.1f}",
                f"{model['compact']['validation'][metric]:.1f}",
                "" if test is None else f"{test:.1f}",
                f"{100 * model['realised']:.2f} %",
                _ratio(model["headline"].get("model")),
                _ratio(model["headline"].get("model_int8")),
                _product(model["headline"].get("model_int8")),
                _score(model["onnx_scores"].get("model_int8")),
                f"{sum(model['seconds'].values()):.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| task | budget | where |", "|---|---|---|"]
    for name, row in results.items():
        budget = ", ".join(f"{key} {value}" for key, value in row["budget"].items())
        note = f"; {row['note']}" if row["note"] else ""
        lines.append(f"| {name} | {budget}{note} | {row['environment']} |")
    return "\n".join([*lines, ""])


def _ratio(row: dict[str, Any] | None) -> str:
    if row is None or row["ratio"] is None:
        return ""
    low, high = row["interval"]
    return f"{row['ratio']:.1f}× ({low:.1f} to {high:.1f})"


def _product(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['product']:.1f}×"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def main() -> None:
    """Run the rows asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=[*ROWS, "all"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    file = HERE / "results.json"
    results = read(file) if file.exists() else {}
    for name in ROWS if options.row == "all" else [options.row]:
        results[name] = run_row(name, options.data, options.output, options.threads)
        results = {known: results[known] for known in ROWS if known in results}
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (HERE / "results.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
