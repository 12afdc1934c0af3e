"""Speeds asked for and measured, and whether a speed as the target scores better than weights.

    python benchmarks/target/run.py --data FOLDER --output FOLDER [--method fast]
    python benchmarks/target/run.py --data FOLDER --output FOLDER --against-weights [--tasks mrpc]

FOLDER of data holds ``sst2_sentences`` (and ``mrpc``, ``squad_v1.1``), as for benchmarks/quality.
The first form makes a family of speeds for each precision and batch, exports each size and times
it in turn with its dense model. Whether a speed is reached does not depend on training: with
``--method fast`` a case takes minutes, and its scores are those of a preview. The second form
prunes to a share of the weights, measures the speed that this gives, asks for that speed, and
compares the scores over seeds. ``--precisions``, ``--batches``, ``--tasks`` and ``--seeds`` choose
a part; the rows of other parts stay. Runs that are there are not made again: an interrupted call
goes on.
Writes results.json and results.md beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "quality")]

from runs import cofi, environment, mean_interval, prune, read  # noqa: E402
from tasks import MODEL, ROWS  # noqa: E402

SPEEDUPS = (2, 4, 8, 12)
PRECISIONS, BATCHES, THREADS = ("fp32", "int8"), (1, 32), 1
UNJUDGED = ("--no-score",)
"""fp32 is not judged, and a preview's 8-bit file keeps no layers for a score that it lacks."""
AGAINST = ("sst2_sentences", "mrpc", "squad")
SPARSITY, SEEDS = 0.95, (57, 58, 59)
FIRST = "sst2_sentences"

Json = dict[str, Any]


def task_of(name: str, data: Path) -> list[object]:
    """Return what names a task and its preset."""
    row = ROWS[name]
    preset = ["--preset", row.preset] if row.preset else []
    return ["--task", row.task, "--data", data / str(row.folder), *preset]


def teacher(name: str, seed: int, data: Path, output: Path) -> Path:
    """Return a teacher, trained unless it is there."""
    run = output / name / f"teacher-{seed}"
    if not (run / "report.json").exists():
        resume = ["--resume"] if (run / "config.yaml").exists() else []
        own = [*task_of(name, data), "--seed", seed, "--threads", THREADS]
        sets = [x for k, v in ROWS[name].settings.items() for x in ("--set", f"{k}={v}")]
        cofi("finetune", MODEL, *own, "-o", run, *sets, *resume)
    return run / "model"


def table(precision: str, batch: int, length: int, output: Path) -> Path:
    """Return the latency table of a case, measured unless it is there."""
    file = output / "tables" / f"{precision}-b{batch}-s{length}-t{THREADS}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        case = ("--precision", precision, "--batch", batch, "--seq-len", length)
        cofi("bench", MODEL, "--table", *case, "--threads", THREADS, "-o", file)
    return file


def timed(
    run: Path, precision: str, batch: int, length: int, judged: Sequence[str] = ()
) -> dict[str, Json]:
    """Export all sizes of a run for a case and time them in turn with their dense model.

    Args:
        run: that was pruned for the case.
        precision, batch, length: the case.
        judged: flags of the export that say how it is judged.

    Returns:
        The paired speedup of each size at that precision, by its name; of a single size by ``""``.
    """
    case = ("--batch", batch, "--seq-len", length, "--threads", THREADS)
    if not (run / "bench.json").exists():
        sizes = ("--all-sizes",) if (run / "sizes").exists() else ()
        cofi("export", run, *sizes, "--precision", precision, *case, *judged)
        cofi("bench", run, *sizes, *case, "--no-torch", "--no-score")
    own = "model" if precision == "fp32" else f"model_{precision}"
    rows = [row for row in read(run / "bench.json")["headline"] if row["vs"] is not None]
    named = [(row["model"].rpartition("/"), row) for row in rows]
    return {size: row for (size, _, name), row in named if name == own}


def speeds(options: argparse.Namespace) -> Iterator[Json]:
    """Yield what was asked and measured, case by case."""
    length = ROWS[FIRST].length
    for batch, precision in itertools.product(options.batches, options.precisions):
        run = options.output / FIRST / f"{precision}-b{batch}"
        own = teacher(FIRST, SEEDS[0], options.data, options.output)
        prune(
            run,
            *(MODEL, *task_of(FIRST, options.data), "--teacher", own, "--seed", SEEDS[0]),
            *("--speedup", ",".join(map(str, SPEEDUPS)), "--threads", THREADS),
            *("--table", table(precision, batch, length, options.output)),
            settings={**ROWS[FIRST].settings, "prune.method": options.method},
        )
        judged = UNJUDGED if options.method == "fast" else ()
        found = timed(run, precision, batch, length, judged)
        for speedup in SPEEDUPS:
            report = read(run / "sizes" / f"{speedup}x" / "report.json")
            target = report["latency_target"]
            own_row = found.get(f"{speedup}x", {})
            yield {
                "precision": precision,
                "batch": batch,
                "asked": speedup,
                "expected": target["expected_speedup"],
                "tried": [row["speedup"] for row in target["tried"]],
                "measured": own_row.get("ratio"),
                "interval": own_row.get("interval"),
                "score": report["model"]["score"],
                "teacher": report["teacher"]["score"],
                "structure": report["structure"],
            }


def against_weights(options: argparse.Namespace) -> Iterator[Json]:
    """Yield scores at equal measured speed, task by task and seed by seed."""
    for name, seed in itertools.product(options.tasks, options.seeds):
        own, length = teacher(name, seed, options.data, options.output), ROWS[name].length
        shared = (MODEL, *task_of(name, options.data), "--teacher", own, "--seed", seed)
        run = options.output / name / f"weights-{seed}"
        settings = ROWS[name].settings
        prune(run, *shared, "--sparsity", SPARSITY, "--threads", THREADS, settings=settings)
        speedup = timed(run, "fp32", 1, length, UNJUDGED).get("", {}).get("ratio")
        if speedup is None:
            continue
        other = options.output / name / f"speed-{seed}"
        known = ("--table", table("fp32", 1, length, options.output))
        ask = ("--speedup", f"{speedup:.3f}", "--threads", THREADS)
        prune(other, *shared, *ask, *known, settings=settings)
        reached = timed(other, "fp32", 1, length, UNJUDGED).get("", {}).get("ratio")
        scores = [read(place / "report.json")["model"] for place in (run, other)]
        yield {
            "task": name,
            "seed": seed,
            "speedups": [speedup, reached],
            "scores": [model["scores"] for model in scores],
            "dev": [model["score"] for model in scores],
        }


def render(results: Json) -> str:
    """Return the tables as Markdown."""
    lines = ["# Speeds as targets, all-MiniLM-L6-v2", "", results["environment"], ""]
    if results["speeds"]:
        lines += [
            f"One thread, {ROWS[FIRST].length} tokens, method {results['method']}.",
            "",
            "| precision | batch | asked | by the table | tried | measured (interval) "
            "| off | dev (teacher) | heads; FFN; hidden |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---|",
        ]
    for row in results["speeds"]:
        shape, measured = row["structure"], "not measured"
        off = ""
        if row["measured"] is not None:
            low, high = row["interval"]
            measured = f"{row['measured']:.2f}× ({low:.2f} to {high:.2f})"
            off = f"{100 * (row['measured'] / row['asked'] - 1):+.1f} %"
        widths = f"{_words(shape['heads'])}; {_words(shape['ffn'])}; {shape['hidden']}"
        tried = " ".join(f"{ratio:.2f}" for ratio in row["tried"])
        cells = f"{row['asked']}× | {row['expected']:.2f}× | {tried} | {measured} | {off}"
        scores = f"{row['score']:.1f} ({row['teacher']:.1f})"
        case = f"{row['precision']} | {row['batch']}"
        lines.append(f"| {case} | {cells} | {scores} | {widths} |")
    if results["against_weights"]:
        lines += [
            "",
            f"Weights pruned to {100 * SPARSITY:g} %, and the speed that this gives asked for "
            "(fp32, batch 1).",
            "",
            "| task | seeds | speedups, weights; speed | dev, weights | dev, speed | difference |",
            "|---|---:|---|---:|---:|---:|",
        ]
    for name in AGAINST:
        own = [row for row in results["against_weights"] if row["task"] == name]
        if own:
            weights, speed = ([row["dev"][i] for row in own] for i in (0, 1))
            gains = [b - a for a, b in zip(weights, speed)]
            pairs = ", ".join(f"{a:.1f}; {b or 0:.1f}" for a, b in (r["speedups"] for r in own))
            cells = " | ".join(map(mean_interval, (weights, speed, gains)))
            lines.append(f"| {name} | {len(own)} | {pairs} | {cells} |")
    return "\n".join([*lines, ""])


def _words(widths: list[int]) -> str:
    return " ".join(map(str, widths))


def main() -> None:
    """Make what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--method", choices=("gates", "fast"), default="gates")
    parser.add_argument("--against-weights", action="store_true")
    parser.add_argument("--tasks", nargs="+", choices=AGAINST, default=AGAINST)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--batches", nargs="+", type=int, choices=BATCHES, default=BATCHES)
    options = parser.parse_args()
    file = HERE / "results.json"
    results = read(file) if file.exists() else {"speeds": [], "against_weights": []}
    key, parts, made = "speeds", ("batch", "precision", "asked"), speeds(options)
    if options.against_weights:
        key, parts, made = "against_weights", ("task", "seed"), against_weights(options)
    else:
        results["method"] = options.method
    rows = {tuple(row[part] for part in parts): row for row in results[key]}
    for row in made:
        rows[tuple(row[part] for part in parts)] = row
        results[key] = [rows[case] for case in sorted(rows)]
        run = next((options.output / FIRST).glob("*/env.json"), None)
        run = run or next(options.output.glob("*/*/env.json"))
        results["environment"] = f"{environment(run.parent)}."
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (HERE / "results.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
