"""Prune a real encoder on SST-2 sentences: accuracy over seeds, throughput, memory, latency.

    python benchmarks/sst2/run.py --data FOLDER --output FOLDER

FOLDER holds train.tsv, dev.tsv and test.tsv (columns ``sentence`` and ``label``; 6,920, 872
and 1,821 rows in the runs whose results lie beside this file). Each seed trains its own
teacher, which both sparsities share. Writes results.json and results.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from runs import cofi  # noqa: E402
from runs import prune as prune_once  # noqa: E402

RECIPES: dict[float, dict[str, object]] = {
    0.95: {"prune.epochs": 8, "prune.ramp_epochs": 3, "recover.epochs": 6},
    0.8: {"prune.epochs": 6, "prune.ramp_epochs": 3, "recover.epochs": 3},
}


def prune(
    data: Path,
    run: Path,
    *,
    seed: int,
    sparsity: float,
    teacher: Path | None,
    threads: int | None = None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Prune once, unless this run is there already; ``extra`` are more settings."""
    given = ["--teacher", teacher] if teacher is not None else []
    limit = ["--threads", threads] if threads is not None else []
    prune_once(
        run,
        *("demo", "--task", "sst2", "--data", data, "--preset", "quick"),
        *("--sparsity", sparsity, "--seed", seed, *given, *limit),
        settings=RECIPES[sparsity] | dict(extra or {}),
    )


def growth(run: Path, parts: int = 8) -> list[dict[str, float]]:
    """Return median examples/s and expected sparsity over equal parts of the pruning stage."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["stage"] == "prune"]
    size = len(rows) // parts
    return [
        {
            "from_step": part * size + 1,
            "expected_sparsity": rows[part * size].get("expected_sparsity", 0.0),
            "examples_per_second": statistics.median(
                row["examples_per_second"] for row in rows[part * size : (part + 1) * size]
            ),
        }
        for part in range(parts)
    ]


def swing(run: Path) -> float:
    """Return the largest |expected - target| sparsity past the ramp, in points."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "expected_sparsity" in row]
    target = max(row["target_sparsity"] for row in rows)
    held = [row for row in rows if row["target_sparsity"] >= target - 1e-9]
    return 100 * max(abs(row["expected_sparsity"] - target) for row in held)


def known_peak() -> float | None:
    """Return the peak memory that an earlier call saw, when this one made no runs."""
    file = HERE / "results.json"
    return json.loads(file.read_text())["peak_memory_mb"] if file.exists() else None


def collect(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Gather the runs' reports."""
    runs = {}
    for sparsity in RECIPES:
        for seed in seeds:
            run = folder / f"{sparsity}-{seed}"
            if not (run / "report.json").exists():
                continue
            report = json.loads((run / "report.json").read_text())
            runs[run.name] = report | {"growth": growth(run), "swing": swing(run)}
    env = json.loads((folder / f"0.95-{seeds[0]}" / "env.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 or known_peak()
    bench = {
        name: json.loads((folder / name / "bench.json").read_text())
        for name in (f"{s}-{seeds[0]}" for s in RECIPES)
        if (folder / name / "bench.json").exists()
    }
    for content in bench.values():
        for model in content["models"]:
            model["file"] = Path(model["file"]).name
    return {"env": env, "seeds": seeds, "peak_memory_mb": peak, "runs": runs, "bench": bench}


def mean(values: list[float]) -> str:
    """Show a mean with its range."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def render(results: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    runs, seeds, env = results["runs"], results["seeds"], results["env"]
    lines = [
        "# SST-2 sentences, all-MiniLM-L6-v2",
        "",
        f"{env['cpu']}, {env['cores']} cores, {env['threads']} threads, torch "
        f"{env['packages']['torch']}; seeds {', '.join(map(str, seeds))}; mean (range).",
        "",
        "| model | dev % | test % | realised sparsity | encoder weights |",
        "|---|---:|---:|---:|---:|",
    ]
    first = _of(runs, 0.95)
    lines.append(_row(f"teacher, {len(first)} seeds", [run["teacher"] for run in first], [0.0]))
    for sparsity in RECIPES:
        own = _of(runs, sparsity)
        if not own:
            continue
        realised = [100 * run["sparsity"]["realised"] for run in own]
        name = f"{sparsity:g}, {len(own)} seeds"
        lines.append(_row(name, [run["model"] for run in own], realised))
    lines += ["", "| run | heads; FFN; hidden | largest swing, points |", "|---|---|---:|"]
    for name, run in runs.items():
        shape = run["structure"]
        widths = f"{_words(shape['heads'])}; {_words(shape['ffn'])}; {shape['hidden']}"
        lines.append(f"| {name} | {widths} | {run['swing']:.2f} |")
    lines += ["", "| run | stage | examples/s | seconds | of it teacher | evaluation, s |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for name, run in runs.items():
        for stage, row in run["stages"].items():
            spent = row.get("teacher_seconds", 0.0)
            rate = row["examples"] / (row["seconds"] + spent)
            cells = f"{rate:.0f} | {row['seconds'] + spent:.0f} | {spent:.0f}"
            lines.append(f"| {name} | {stage} | {cells} | {row['evaluation_seconds']:.0f} |")
    lines += ["", "| run | step | expected sparsity | examples/s, median |", "|---|---:|---:|---:|"]
    for name in (f"{s}-{seeds[0]}" for s in RECIPES):
        for part in runs[name]["growth"] if name in runs else []:
            cells = f"{part['expected_sparsity']:.3f} | {part['examples_per_second']:.0f}"
            lines.append(f"| {name} | {part['from_step']} | {cells} |")
    lines += ["", "| run | file | dev % in onnxruntime | against the same in fp32 |"]
    lines.append("|---|---|---:|---:|")
    for name, bench in results["bench"].items():
        scores = {row["model"]: row["score"] for row in bench["scores"]}
        for file, score in scores.items():
            drop = score - scores[file.removesuffix("_int8")]
            shown = f"{drop:+.2f}" if file.endswith("_int8") else ""
            lines.append(f"| {name} | {file} | {score:.2f} | {shown} |")
    lines += [
        "",
        "Speedups are over the dense model in the same precision.",
        "",
        "| run | model | case | p50 ms | speedup (95 % interval) | over dense fp32 |",
    ]
    lines.append("|---|---|---|---:|---:|---:|")
    for name, bench in results["bench"].items():
        over = {(row["model"], row["case"]): row for row in bench["speedups"]}
        equal = {(row["model"], row["case"]): row for row in bench["headline"] if row["vs"]}
        for case in bench["cases"]:
            key = case["model"], f"b{case['batch']}-s{case['seq_len']}"
            cells = f"{_speedup(equal.get(key))} | {_speedup(over.get(key))}"
            lines.append(f"| {name} | {' | '.join(key)} | {case['p50_ms']:.2f} | {cells} |")
    if results["peak_memory_mb"]:  # unknown when the runs were made in an earlier call
        lines += ["", f"Peak memory of a run: {results['peak_memory_mb']:.0f} MB."]
    return "\n".join([*lines, ""])


def _of(runs: dict[str, Any], sparsity: float) -> list[Any]:
    return [run for name, run in runs.items() if name.startswith(f"{sparsity}-")]


def _speedup(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = row["interval"]
    return f"{row['ratio']:.1f}× ({low:.1f} to {high:.1f})"


def _words(widths: list[int]) -> str:
    return " ".join(map(str, widths))


def _row(name: str, models: list[dict[str, Any]], realised: list[float]) -> str:
    dev = mean([m["scores"]["validation"]["accuracy"] for m in models])
    test = mean([m["scores"]["test"]["accuracy"] for m in models])
    weights = statistics.mean(m["encoder_params"] for m in models)
    return f"| {name} | {dev} | {test} | {statistics.mean(realised):.2f} % | {weights:,.0f} |"


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[57, 58, 59])
    parser.add_argument("--sparsities", type=float, nargs="+", default=list(RECIPES))
    parser.add_argument("--threads", type=int, help="Default: as cofi chooses.")
    parser.add_argument("--collect", action="store_true", help="Only gather what is there.")
    options = parser.parse_args()
    for sparsity in options.sparsities if not options.collect else ():
        for seed in options.seeds:
            run, first = (options.output / f"{s}-{seed}" for s in (sparsity, next(iter(RECIPES))))
            teacher = None if run == first else first / "teacher"
            prune(
                options.data,
                run,
                seed=seed,
                sparsity=sparsity,
                teacher=teacher,
                threads=options.threads,
            )
            if seed == options.seeds[0] and not (run / "bench.json").exists():
                cofi("export", run, "--onnx", "--precision", "int8")
                cofi("bench", run, "--batch", "1,32", "--seq-len", "64,128")
    results = collect(options.output, options.seeds)
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text(render(results))


if __name__ == "__main__":
    main()
