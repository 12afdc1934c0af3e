"""SIGKILL one of two processes of a small run, at random moments; resume; compare.

python benchmarks/robustness/ranks.py --kills 40 --output DIR [--seed N]

The other process has to end by itself, with exit code 5. Only a process that still waits for the
others to appear is ended, as torchrun does. After some lives a run is left alone, in two
processes: it has to end with the model, teacher and plan of an undisturbed run of two processes,
bit for bit. Every other run ends in one process instead, and has to finish. Exit code 1: something
else was seen.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from kills import differences, small_config, stage_of

from cofi_cli.config import RunConfig
from cofi_cli.errors import ENVIRONMENT
from cofi_cli.runs import RunDir
from cofi_cli.training import prune

LIVES = 4
PATIENCE = 60.0
"""Seconds in which a process has to notice that another one has ended."""


def start(config: RunConfig, run: RunDir, count: int) -> list[int]:
    """Start the processes of a run, as forks of this one; return their ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [_fork(config, run, index, count, port) for index in range(count)]


def _fork(config: RunConfig, run: RunDir, index: int, count: int, port: int) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        log = os.open(run.root.with_suffix(f".{index}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if count > 1:
            names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
            values = (index, index, count, count, port)
            os.environ.update({n: str(v) for n, v in zip(names, values, strict=True)})
            os.environ["MASTER_ADDR"] = "127.0.0.1"
        prune(config, run, resume=True)
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = getattr(error, "exit_code", 1)
    finally:
        os._exit(code)


def wait(process: int, seconds: float) -> int | None:
    """Return a process's exit code, negative for a signal; ``None`` if it is still running."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def kill_one(config: RunConfig, run: RunDir, rng: random.Random, span: float) -> str | None:
    """Kill one of two processes after a random time.

    Returns:
        What the other one did: ``told`` it ended with our exit code, ``waited`` for a process that
        never came, or something wrong. ``None``: both had ended before.
    """
    processes = start(config, run, 2)
    chosen = rng.randrange(2)
    victim, other = processes[chosen], processes[1 - chosen]
    if (code := wait(victim, rng.random() * span)) is not None:
        left = wait(other, PATIENCE)
        return None if (code, left) == (0, 0) else f"ended with {code} and {left}, unharmed"
    os.kill(victim, signal.SIGKILL)
    wait(victim, PATIENCE)
    had_begun = run.config.exists()
    code = wait(other, PATIENCE if had_begun else 5.0)
    if code is None:
        os.kill(other, signal.SIGKILL)
        wait(other, PATIENCE)
        return "waited" if not had_begun else "hung"
    return "told" if code == ENVIRONMENT else "finished" if code == 0 else f"exit code {code}"


def main() -> None:
    """Kill, resume, compare, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rng, hit, did, wrong = random.Random(chosen.seed), Counter[str](), Counter[str](), list[str]()
    config = small_config(chosen.output)
    whole = RunDir(chosen.output / "whole")
    began = time.monotonic()
    codes = [wait(process, 3600) for process in start(config, whole, 2)]
    assert codes == [0, 0], f"the undisturbed run ended with {codes}"
    span, number = time.monotonic() - began, 0
    while did.total() < chosen.kills:
        run = RunDir(chosen.output / f"run{number}")
        for _ in range(min(LIVES, chosen.kills - did.total())):
            if (answer := kill_one(config, run, rng, span)) is None:
                break
            did[answer] += 1
            hit[stage_of(run, exports=False)] += 1
            if answer not in ("told", "waited", "finished"):
                wrong.append(f"{run.root}: the other process {answer}")
        count = 1 + number % 2
        codes = [wait(process, 60 + 20 * span) for process in start(config, run, count)]
        if codes != [0] * count or not run.is_finished:
            wrong.append(f"{run.root}: resumed in {count} processes it ended with {codes}")
        elif count == 2 and (found := differences(run, whole)):
            wrong.append(f"{run.root}: {', '.join(found)}")
        else:
            shutil.rmtree(run.root)
        number += 1
    print(f"{did.total()} kills: " + ", ".join(f"{n} in {s}" for s, n in hit.most_common()))
    print("The other process: " + ", ".join(f"{what} {n}" for what, n in did.most_common()))
    print("\n".join(wrong) or "Every run went on to its end.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
