"""What each part of the distillation brings at 95 %, over seeds (CoFi, section 4.3, table 4).

    python benchmarks/ablation/run.py --data FOLDER --output FOLDER [--tasks sst2_sentences mrpc]

FOLDER holds sst2_sentences and mrpc, each with train.tsv and dev.tsv. `qnli` is scored on the
dev.tsv of that folder and trained on pairs made of squad_v1.1/train*.json (pairs.py). One teacher
a task and seed, which all variants share. Also gathers the structures that were found: heads and
FFN width per layer, averaged over tasks and seeds, as a table, and those of the whole recipe as
structures.svg. Writes results.json and results.md beside this file; what is there of earlier
calls stays.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import pairs  # noqa: E402
from runs import environment, mean_interval, prune, read  # noqa: E402

VARIANTS: dict[str, dict[str, object]] = {
    "none": {
        "distill.prediction_weight": 0.0,
        "distill.matching": "none",
        "distill.label_weight": 1.0,
    },
    "prediction": {"distill.prediction_weight": 1.0, "distill.matching": "none"},
    "prediction + fixed layers": {"distill.matching": "fixed"},
    "prediction + dynamic layers": {"distill.matching": "nearest"},
}
BUDGET: dict[str, object] = {
    "prune.epochs": 4,
    "prune.dense_epochs": 0.5,
    "prune.ramp_epochs": 1,
    "recover.epochs": 2,
}
SMALL: dict[str, object] = {
    "task.max_length": 128,
    "prune.epochs": 16,
    "prune.dense_epochs": 1,
    "prune.ramp_epochs": 4,
    "recover.epochs": 8,
}
"""For some thousand rows, which have few steps an epoch."""
PAIRS: dict[str, object] = {
    "task.max_length": 128,
    "teacher.epochs": 1,
    "prune.epochs": 1.5,
    "prune.dense_epochs": 0.15,
    "prune.ramp_epochs": 0.5,
    "recover.epochs": 0.75,
}
TASKS = {
    "sst2_sentences": ("sst2", BUDGET),
    "mrpc": ("mrpc", SMALL),
    "qnli": ("qnli", PAIRS),
}
FULL = "prediction + dynamic layers"
"""The whole recipe."""
SPARSITY = 0.95


def make(task: str, seed: int, data: Path, output: Path, threads: int) -> None:
    """Make the runs of a task and seed."""
    name, budget = TASKS[task]
    folder = pairs.folder_of(task, data, output)
    first = output / task / f"{seed}-{next(iter(VARIANTS))}"
    for variant, own in VARIANTS.items():
        run = output / task / f"{seed}-{variant}"
        given = [] if run == first else ["--teacher", str(first / "teacher")]
        prune(
            run,
            *("demo", "--task", name, "--data", folder, "--preset", "quick"),
            *("--sparsity", SPARSITY, "--seed", seed, "--threads", threads, *given),
            settings=budget | own,
        )


def collect(task: str, seeds: list[int], output: Path) -> dict[str, Any]:
    """Return scores and structures of a task."""
    found: dict[str, Any] = {"variants": {}, "seeds": seeds, "budget": TASKS[task][1]}
    for variant in VARIANTS:
        reports = [read(output / task / f"{seed}-{variant}" / "report.json") for seed in seeds]
        found["metric"] = reports[0]["metric"]
        found["teacher"] = [report["teacher"]["score"] for report in reports]
        found["variants"][variant] = {
            "scores": [report["model"]["score"] for report in reports],
            "realised": [report["sparsity"]["realised"] for report in reports],
            "structures": [report["structure"] for report in reports],
        }
    found["environment"] = environment(output / task / f"{seeds[0]}-{next(iter(VARIANTS))}")
    return found


def widths(results: dict[str, Any], variant: str) -> dict[str, list[float]]:
    """Return the mean share of heads and FFN dims kept by layer, over tasks and seeds."""
    structures = [s for row in results.values() for s in row["variants"][variant]["structures"]]
    return {
        part: [
            100 * statistics.mean(s[part][layer] / s["of"][part] for s in structures)
            for layer in range(len(structures[0][part]))
        ]
        for part in ("heads", "ffn")
    }


def picture(shares: dict[str, list[float]]) -> str:
    """Draw the shares as bars, a pair a layer."""
    layers, step, height = len(shares["heads"]), 90, 180
    top = max(1.0, *shares["heads"], *shares["ffn"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{60 + step * layers}" height="260" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="20" y="20">kept of heads (blue) and FFN dims (orange), % by layer</text>',
    ]
    for layer in range(layers):
        for place, (part, colour) in enumerate((("heads", "#4878a8"), ("ffn", "#e08a3c"))):
            share = shares[part][layer]
            size, x = height * share / top, 40 + layer * step + place * 34
            y = 40 + height - size
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="30" height="{size:.1f}" fill="{colour}"/>'
                f'<text x="{x + 15}" y="{y - 4:.1f}" text-anchor="middle">{share:.1f}</text>'
            )
        parts.append(
            f'<text x="{72 + layer * step}" y="240" text-anchor="middle">layer {layer + 1}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def render(results: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    lines = [
        "# Distillation at 95 %, all-MiniLM-L6-v2",
        "",
        "Dev scores in points, mean over seeds with its 95 % interval (Student's t).",
        "",
        f"| task | teacher | {' | '.join(VARIANTS)} |",
        f"|---|---:|{'---:|' * len(VARIANTS)}",
    ]
    for task, row in results.items():
        cells = [mean_interval(row["variants"][variant]["scores"]) for variant in VARIANTS]
        teacher = mean_interval(row["teacher"])
        lines.append(f"| {task} ({row['metric']}) | {teacher} | {' | '.join(cells)} |")
    parts = {variant: widths(results, variant) for variant in VARIANTS}
    layers = range(1, len(parts[FULL]["heads"]) + 1)
    lines += [
        "",
        "Kept of each layer, % of its heads / of its FFN dims, mean over tasks and seeds; the last",
        "row is structures.svg.",
        "",
        f"| | {' | '.join(f'layer {n}' for n in layers)} |",
        f"|---|{'---:|' * len(layers)}",
    ]
    for variant, part in parts.items():
        cells = [f"{h:.0f} / {f:.0f}" for h, f in zip(part["heads"], part["ffn"], strict=True)]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    lines.append("")
    for task, row in results.items():
        budget = ", ".join(f"{key} {value}" for key, value in row["budget"].items())
        seeds = ", ".join(map(str, row["seeds"]))
        lines.append(f"{task}: preset quick; {budget}; seeds {seeds}; {row['environment']}.")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[57, 58, 59])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    file = HERE / "results.json"
    results = read(file) if file.exists() else {}
    for task in options.tasks:
        for seed in options.seeds:
            make(task, seed, options.data, options.output, options.threads)
        results[task] = collect(task, options.seeds, options.output)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (HERE / "results.md").write_text(render(results), encoding="utf-8")
        (HERE / "structures.svg").write_text(picture(widths(results, FULL)), encoding="utf-8")


if __name__ == "__main__":
    main()
