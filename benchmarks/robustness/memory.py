"""Whether memory stays flat: the resident set over the steps of each stage, and its slope.

python benchmarks/robustness/memory.py --output DIR [--steps 2000]

A tiny random model, whose own memory hides nothing: what a step leaves behind would show. The
first fifth of each stage is left out, in which allocators and caches fill. Exit code 1: a slope of
more than 1 kB a step.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import psutil
import torch

from cofi_cli.runs import RunDir
from cofi_cli.training import prune
from cofi_cli.training.stages.progress import Silent
from tests.tiny import quick_config, save_bert, save_reviews

ROWS, BATCH = 800, 8
STEPS_AN_EPOCH = ROWS // BATCH
MOST_KB = 1.0


class Watch(Silent):
    """Notes the resident set after each step, in kB."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.seen: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def step(self, row: Mapping[str, Any]) -> None:
        if "loss" in row:
            kb = self.process.memory_info().rss / 1e3
            self.seen[str(row["stage"])].append((int(row["step"]), kb))


def main() -> None:
    """Run, print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    chosen = parser.parse_args()
    epochs = chosen.steps / STEPS_AN_EPOCH
    torch.set_num_threads(1)
    config = quick_config(
        save_bert(chosen.output / "bert"),
        save_reviews(chosen.output / "data", rows=ROWS),
        teacher={"epochs": epochs / 4, "learning_rate": 1e-3},
        prune={"epochs": epochs, "dense_epochs": 1, "ramp_epochs": epochs / 2},
        recover={"epochs": epochs / 4},
        train={"checkpoint_steps": 200},
    )
    watch = Watch()
    prune(config, RunDir(chosen.output / "run"), progress=watch)
    print("| stage | steps | MB at its start | at its end | kB a step |")
    print("|---|---:|---:|---:|---:|")
    slopes = []
    for stage, rows in watch.seen.items():
        settled = np.array(rows[len(rows) // 5 :])
        slopes.append(float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0]))
        first, last = rows[0][1] / 1e3, rows[-1][1] / 1e3
        print(f"| {stage} | {len(rows)} | {first:.0f} | {last:.0f} | {slopes[-1]:.2f} |")
    sys.exit(max(slopes) > MOST_KB)


if __name__ == "__main__":
    main()
