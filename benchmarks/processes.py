"""Examples/s of one and two processes of one thread each, and the share of time they talk in.

python benchmarks/processes.py --data DIR --output DIR [--model MODEL] [--rows N]

The same run in both: SST-2's files in DIR, or their first N training rows, and the same whole
batch, so that the structures and scores can be compared as well. Needs a quiet machine with a core
for each process. A run that has finished is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from runs import read, settings_of

STAGES = ("teacher", "prune", "recover")
SETTINGS = {
    "teacher.epochs": 1,
    "prune.epochs": 3,
    "prune.ramp_epochs": 1,
    "recover.epochs": 1,
    "train.device": "cpu",
    "train.precision": "fp32",
    "train.threads": 1,
}


def _run(folder: Path, processes: int, arguments: list[str]) -> None:
    if (folder / "report.json").exists():
        return
    launcher = ["torch.distributed.run", "--nproc_per_node", str(processes), "-m", "cofi_cli"]
    module = launcher if processes > 1 else ["cofi_cli"]
    command = [sys.executable, "-m", *module, "prune", *arguments, "-o", str(folder)]
    resume = ["--resume"] if (folder / "config.yaml").exists() else []
    subprocess.run([*command, *resume], check=True, stdout=subprocess.DEVNULL)


def _first(data: Path, output: Path, rows: int | None) -> Path:
    """Return a folder with the first rows of a training file, and the dev file as it is."""
    if rows is None:
        return data
    output.mkdir(parents=True, exist_ok=True)
    for name, count in (("train.tsv", rows + 1), ("dev.tsv", None)):
        lines = (data / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (output / name).write_text("".join(lines[:count]), encoding="utf-8")
    return output


def main() -> None:
    """Run both, print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--processes", type=int, nargs="*", default=(1, 2))
    chosen = parser.parse_args()
    data = _first(chosen.data, chosen.output / "data", chosen.rows)
    arguments = [chosen.model, "--task", "sst2", "--data", str(data)]
    arguments += ["--sparsity", "0.8", *settings_of(SETTINGS)]
    reports = {}
    for processes in chosen.processes:
        _run(chosen.output / str(processes), processes, arguments)
        reports[processes] = read(chosen.output / str(processes) / "report.json")
    if len(reports) < 2:
        return
    print("| stage | examples/s, 1 process | 2 processes | times | of its time in communication |")
    print("|---|---:|---:|---:|---:|")
    for stage in STAGES:
        one, two = (reports[n]["stages"][stage] for n in (1, 2))
        first, second = one["examples_per_second"], two["examples_per_second"]
        share = two["communication_seconds"] / two["seconds"]
        print(f"| {stage} | {first:.0f} | {second:.0f} | {second / first:.2f} | {share:.0%} |")
    for processes, report in reports.items():
        score, sparsity = report["model"]["score"], report["sparsity"]["realised"]
        print(f"{processes}: score {score:.1f}, sparsity {sparsity:.4f}")


if __name__ == "__main__":
    main()
