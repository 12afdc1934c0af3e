"""What a family of sizes costs next to one run for each size, and whether its scores suffer.

    python benchmarks/target/family.py --output FOLDER [--seeds 57] [--threads 1]

Prunes the embedded model on the embedded text (preset ``demo``) to five sizes in one run, then to
each size in a run of its own, all below one teacher. Time is the processor's, children included,
so that other work on the machine counts little; each separate run is charged with a teacher of
its own, as a user would train it. Runs that are there are not made again. Writes family.json and
family.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from runs import cofi, environment, mean_interval, prune, read  # noqa: E402

from cofi_cli.config import FAMILY  # noqa: E402

ALONE = {"prune.milestones": "[]", "prune.max_drop": "null"}
"""What makes the preset's family a single size."""

Json = dict[str, Any]


def processor_seconds(made: Callable[[], None]) -> float:
    """Return what a call's child processes took of the processor, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costed(run: Path, made: Callable[[], None]) -> float:
    """Make a run unless it is there; return its seconds, which are kept beside its report.

    An interrupted run is made anew, since the seconds of its first part are not known.
    """
    kept = run / "processor.json"
    if not kept.exists():
        shutil.rmtree(run, ignore_errors=True)
        seconds = processor_seconds(made)
        kept.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    return float(read(kept)["seconds"])


def family(seed: int, options: argparse.Namespace) -> Json:
    """Return the costs and scores of one seed's runs."""
    place, own = options.output / f"{seed}", ["--seed", seed, "--threads", options.threads]
    shared = ["demo", "--preset", "demo", *own]
    teacher = place / "teacher"
    of_teacher = costed(teacher, lambda: cofi("finetune", *shared, "-o", teacher))
    given = [*shared, "--teacher", teacher / "model"]

    def pruned(run: Path, sizes: str, settings: Json) -> float:
        return costed(run, lambda: prune(run, *given, "--sparsity", sizes, settings=settings))

    together = place / "family"
    of_family = pruned(together, ",".join(map(str, FAMILY)), {"prune.max_drop": 100})
    rows = []
    for size in FAMILY:
        alone = place / f"{size:g}"
        seconds = pruned(alone, str(size), ALONE)
        places = (together / "sizes" / f"{size:g}", alone)
        scores = [read(place / "report.json")["model"]["scores"] for place in places]
        rows.append({"size": size, "seconds": seconds, "family": scores[0], "alone": scores[1]})
    return {
        "metric": read(teacher / "report.json")["metric"],
        "teacher": read(together / "report.json")["teacher"]["scores"],
        "teacher_seconds": of_teacher,
        "family_seconds": of_family,
        "sizes": rows,
        "environment": environment(together),
    }


def ratio(row: Json, teachers: bool = True) -> float:
    """Return the family's time as a share of that of separate runs."""
    own = row["teacher_seconds"] if teachers else 0.0
    separate = sum(size["seconds"] + own for size in row["sizes"])
    return float((row["family_seconds"] + own) / separate)


def render(results: Json) -> str:
    """Return the table as Markdown."""
    rows = list(results.values())
    shares = mean_interval([100 * ratio(row) for row in rows])
    given = mean_interval([100 * ratio(row, teachers=False) for row in rows])
    times = ", ".join(f"{row['family_seconds'] + row['teacher_seconds']:.0f}" for row in rows)
    lines = [
        "# A family of five sizes, all-MiniLM-L6-v2 on the demo's text",
        "",
        f"{rows[0]['environment']}. Seeds {', '.join(results)}.",
        "",
        f"One run takes {shares} % of the processor time of five runs, teachers included "
        f"({times} s); {given} % with the teacher given.",
        "",
        "| removed | dev / test, in one run | dev / test, a run of its own | seconds of its own |",
        "|---:|---:|---:|---:|",
    ]
    for i, size in enumerate(FAMILY):
        own = [row["sizes"][i] for row in rows]
        cells = [
            " / ".join(
                mean_interval([size[kind][split][row["metric"]] for size, row in zip(own, rows)])
                for split in own[0][kind]
            )
            for kind in ("family", "alone")
        ]
        seconds = mean_interval([row["seconds"] for row in own])
        lines.append(f"| {100 * size:g} % | {cells[0]} | {cells[1]} | {seconds} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Make what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[57])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    file, results = HERE / "family.json", {}
    for seed in options.seeds:
        results[str(seed)] = family(seed, options)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (HERE / "family.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
