"""Start a run on a million synthetic rows: memory, and the time until steps begin.

python benchmarks/robustness/large.py --output DIR [--rows 1000000] [--start-only]

A tiny random model, so that what is measured is the data: read, tokenised, cached. The teacher's
outputs are kept on disk (prune.teacher_cache_gb is near 0). The run is left after 50 steps of
pruning, or at its first step. Memory is the largest resident set of the process, which counts
mapped pages of the file as well.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cofi_cli.runs import RunDir
from cofi_cli.training import prune
from cofi_cli.training.stages.progress import Silent
from tests.tiny import BAD, FILLER, GOOD, quick_config, save_bert

STEPS = 50
SHORT = {"epochs": 0.002, "batch_size": 32}


class Enough(Exception):
    """The run has taken its steps."""


class Watch(Silent):
    """Says when the first step of each stage ends, and how much memory was used till then."""

    def __init__(self, *, start_only: bool) -> None:
        self.began, self.seen, self.start_only = time.monotonic(), set[str](), start_only

    def step(self, row: Mapping[str, Any]) -> None:
        name = str(row["stage"])
        if name not in self.seen:
            self.seen.add(name)
            self.tell(f"first step of {name}")
            if self.start_only:
                raise Enough
        if name == "prune" and row["step"] >= STEPS:
            raise Enough

    def message(self, text: str) -> None:
        print(text, flush=True)

    def tell(self, what: str) -> None:
        gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{time.monotonic() - self.began:.0f} s, {gb:.2f} GB: {what}", flush=True)


def write_rows(file: Path, rows: int) -> None:
    """Write rows of 4 to 20 words, of which some tell the class."""
    rng = random.Random(0)
    with file.open("w", encoding="utf-8") as out:
        out.write("sentence\tlabel\n")
        for i in range(rows):
            words = [
                *rng.choices(FILLER, k=rng.randint(1, 17)),
                *rng.choices((BAD, GOOD)[i % 2], k=3),
            ]
            out.write(f"{' '.join(words)}\t{i % 2}\n")


def main() -> None:
    """Write the data, start the run, say what it needs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--start-only", action="store_true")
    chosen = parser.parse_args()
    data = chosen.output / "data"
    data.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", chosen.rows), ("dev", 1000)):
        if not (data / f"{name}.tsv").exists():
            write_rows(data / f"{name}.tsv", rows)
    config = quick_config(
        save_bert(chosen.output / "bert"),
        data,
        teacher=SHORT,
        prune={
            **SHORT,
            "dense_epochs": 0,
            "ramp_epochs": 0.001,
            "teacher_cache_gb": 0.001,
        },
        recover={"epochs": 0},
        train={"checkpoint_steps": 10_000},
    )
    watch = Watch(start_only=chosen.start_only)
    try:
        prune(config, RunDir(chosen.output / f"run-{int(time.time())}"), progress=watch)
    except Enough:
        watch.tell("left")


if __name__ == "__main__":
    main()
