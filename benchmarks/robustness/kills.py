"""SIGKILL a small run at random moments, resume it, and compare it with an undisturbed one.

python benchmarks/robustness/kills.py --kills 200 --output DIR [--seed N] [--no-export]
    [--results FILE]

A run is pruning, report and export of a tiny random model. Each life of it ends by SIGKILL after a
random share of the time that the undisturbed run took, and the next life goes on with what lies in
its folder. After some lives one is left alone, and has to end with the same model, teacher and
plan, bit for bit, and with nothing left over. Lives are forks of this process, so that none has to
import torch again. Exit code 1: a run that differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir
from cofi_cli.training import prune
from tests.tiny import quick_config, save_bert, save_reviews

COMPARED = ("model/model.safetensors", "teacher/model.safetensors", "plan.json")
RESULTS = Path(__file__).with_name("kills.json")
LIVES = 8
"""Kills after which a run is left alone."""


def small_config(folder: Path) -> RunConfig:
    """Write a tiny model and its data; return a run of seconds with a checkpoint each 3 steps."""
    brief = {"epochs": 2, "batch_size": 8}
    return quick_config(
        save_bert(folder / "bert"),
        save_reviews(folder / "data", rows=64),
        teacher=brief,
        prune={"sparsity": 0.95, "epochs": 3, "dense_epochs": 1, "ramp_epochs": 1},
        recover=brief,
        train={"checkpoint_steps": 3, "evals_per_epoch": 2},
    )


def live(config: RunConfig, run: RunDir, *, exports: bool) -> None:
    """Run or resume to the end: pruning, report, export."""
    from cofi_cli.report.report import write_report

    prune(config, run, resume=True)
    write_report(run)
    if exports:
        from cofi_cli import export

        export(run.root, graph="plain")


def fork(config: RunConfig, run: RunDir, *, exports: bool) -> int:
    """Start a life; return its process."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.setsid()  # so that the export's own processes die with it
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            log = os.open(run.root.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 2)
            live(config, run, exports=exports)
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    return process


def end(process: int, after: float) -> bool:
    """Kill a life after so many seconds; return whether it was still running."""
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:  # it has no group yet
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def stage_of(run: RunDir, *, exports: bool) -> str:
    """Return where a killed run was, by what lies in its folder."""
    stages = (
        ("export", run.report_json.exists() and exports),
        ("report", run.report_json.exists()),
        ("last files", (run.checkpoints / "recovered").exists()),
        ("recover", (run.checkpoints / "pruned").exists()),
        ("prune", run.teacher.exists()),
        ("teacher", (run.checkpoints / "teacher").exists()),
    )
    return next((name for name, is_there in stages if is_there), "start")


def differences(ours: RunDir, whole: RunDir) -> list[str]:
    """Return what a resumed run has other than the undisturbed one."""
    found = [
        name
        for name in COMPARED
        if (ours.root / name).read_bytes() != (whole.root / name).read_bytes()
    ]
    names = [
        {path.relative_to(r.root).as_posix() for path in r.root.rglob("*")} for r in (ours, whole)
    ]
    return found + sorted(names[0] ^ names[1])


def kill_runs(
    folder: Path, *, kills: int, seed: int, exports: bool = True, lives: int = LIVES
) -> tuple[Counter[str], list[str]]:
    """Return how many kills hit each stage, and what differed."""
    torch.set_num_threads(1)
    rng, hit, wrong = random.Random(seed), Counter[str](), list[str]()
    config = small_config(folder)
    whole = RunDir(folder / "whole")
    began = time.monotonic()
    assert not end(fork(config, whole, exports=exports), 3600), "the undisturbed run hangs"
    assert whole.is_finished, whole.root.with_suffix(".log").read_text()
    span = time.monotonic() - began
    number = 0
    while sum(hit.values()) < kills:
        run = RunDir(folder / f"run{number}")
        for _ in range(min(lives, kills - sum(hit.values()))):
            # Short lives never leave the first stages, long ones skip all moments within them.
            if not end(
                fork(config, run, exports=exports), rng.random() * rng.choice((0.2, 1)) * span
            ):
                break
            hit[stage_of(run, exports=exports)] += 1
        if end(fork(config, run, exports=exports), 60 + 20 * span):
            wrong.append(f"{run.root}: it hangs")
        elif not run.is_finished:
            wrong.append(f"{run.root}: {run.root.with_suffix('.log').read_text()[-500:]}")
        elif found := differences(run, whole):
            wrong.append(f"{run.root}: {', '.join(found)}")
        else:
            shutil.rmtree(run.root)
        number += 1
    return hit, wrong


def add_up(file: Path, seed: int, hit: Counter[str], wrong: list[str]) -> None:
    """Put the result of a seed into a file, in the place of an earlier one; say the sum of all."""
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    results[str(seed)] = {"kills": hit, "wrong": wrong}
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    total = sum((Counter[str](own["kills"]) for own in results.values()), Counter[str]())
    runs = sum(len(own["wrong"]) for own in results.values())
    stages = ", ".join(f"{n} in {stage}" for stage, n in total.most_common())
    print(f"Over {len(results)} seeds {total.total()} kills ({stages}), {runs} runs that differ.")


def main() -> None:
    """Kill, compare, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="file that adds up the results of seeds"
    )
    chosen = parser.parse_args()
    hit, wrong = kill_runs(
        chosen.output, kills=chosen.kills, seed=chosen.seed, exports=not chosen.no_export
    )
    print(f"{sum(hit.values())} kills: " + ", ".join(f"{n} in {s}" for s, n in hit.most_common()))
    print("\n".join(wrong) or "Every run ended with the same model, teacher and plan, bit for bit.")
    add_up(chosen.results, chosen.seed, hit, wrong)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
