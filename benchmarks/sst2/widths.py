"""Does rounding widths cost accuracy? The 95 % run of run.py with and without, over seeds.

    python benchmarks/sst2/widths.py --data FOLDER --output FOLDER --multiple 16

FOLDERs are those of run.py, whose runs and teachers are taken where they are there. Writes
results-widths.md beside this file; benchmarks/latency/widths.py has what rounding gains.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from run import HERE, mean, prune

SPARSITY = 0.95


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--multiple", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[57, 58])
    parser.add_argument("--threads", type=int, help="Default: as cofi chooses.")
    options = parser.parse_args()
    lines = [
        "# Rounded widths, SST-2 sentences, all-MiniLM-L6-v2, 95 %",
        "",
        "| widths are multiples of | seed | dev % | test % | realised sparsity | FFN; hidden |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    means = []
    for multiple in (1, options.multiple):
        dev, test = [], []
        for seed in options.seeds:
            exact = options.output / f"{SPARSITY}-{seed}"
            run = exact if multiple == 1 else Path(f"{exact}-multiple-{multiple}")
            sets = {} if multiple == 1 else {"prune.round_widths_to": multiple}
            teacher = None if run == exact else exact / "teacher"
            prune(
                options.data,
                run,
                seed=seed,
                sparsity=SPARSITY,
                teacher=teacher,
                threads=options.threads,
                extra=sets,
            )
            report = json.loads((run / "report.json").read_text())
            scores, shape = report["model"]["scores"], report["structure"]
            dev.append(scores["validation"]["accuracy"])
            test.append(scores["test"]["accuracy"])
            widths = f"{' '.join(map(str, shape['ffn']))}; {shape['hidden']}"
            lines.append(
                f"| {multiple} | {seed} | {dev[-1]:.1f} | {test[-1]:.1f} | "
                f"{100 * report['sparsity']['realised']:.2f} % | {widths} |"
            )
        means.append(f"| {multiple} | mean (range) | {mean(dev)} | {mean(test)} | | |")
    (HERE / "results-widths.md").write_text("\n".join([*lines, *means, ""]))


if __name__ == "__main__":
    main()
