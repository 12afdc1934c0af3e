"""The order of measuring: models in turn, A B A B, so that they share the machine's moods."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Any

from cofi_cli.runs.records.bench import Length
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.disturbance import Watch

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many turns are over, and of how many."""

Turns = list[list[float]]
"""Seconds of each run, one inner list per turn."""

WARM_ENOUGH = 1.0
"""Seconds. A run longer than this does not notice what the caches held before it."""

STEADY = 1.0
"""Seconds of a model in a case. The first runs after a pause find caches and processors cold: three
runs of half a millisecond a turn took up to 40 % longer than two hundred, and differed by 20 %
between processes."""

PROBES = 3
"""Runs from which the number of affordable runs is computed."""

REST = 0.1
"""Seconds between two models. onnxruntime's threads go on spinning after a run, for 33 ms on an AMD
EPYC, and whatever runs beside them shares its cores with them."""

TRIES = 2
"""Rounds that are made at most, over those asked for, where other work disturbs some of them."""
ENOUGH = 0.5
"""Share of the rounds asked for that has to be undisturbed."""


@dataclass(frozen=True)
class Case:
    """One shape of input.

    Attributes:
        batch: rows of a run.
        seq_len: a number: all rows have it, without padding. ``"task"``: the task's
            rows in batches as they come, padded to the longest of each.
    """

    batch: int
    seq_len: Length

    @property
    def name(self) -> str:
        """Return for example ``b1-s128`` or ``b32-task``."""
        length = "task" if self.seq_len == "task" else f"s{self.seq_len}"
        return f"b{self.batch}-{length}"


def cross(batch: Sequence[int], seq_len: Sequence[Length]) -> list[Case]:
    """Return every batch size with every length."""
    return [Case(b, s) for s in dict.fromkeys(seq_len) for b in dict.fromkeys(batch)]


@dataclass(frozen=True)
class Schedule:
    """How often each model runs in each case.

    Attributes:
        runs: timed runs of a model, over all its turns.
        rounds: turns of a model.
        warmup: untimed runs before the first turn.
        max_seconds: timed seconds of a model; fewer runs where they would take longer.
        min_seconds: timed seconds of a model; more runs where they would take less.
        seed: of the random input ids.
    """

    runs: int = 30
    rounds: int = 10
    warmup: int = 3
    max_seconds: float = 30.0
    min_seconds: float = 0.0
    seed: int = 0

    def turns(self, runs: int | None = None) -> list[int]:
        """Return the number of runs of each turn, together ``runs`` (by default our own)."""
        total = self.runs if runs is None else runs
        rounds = min(self.rounds, self.runs)
        base, extra = divmod(total, rounds)
        return [base + (i < extra) for i in range(rounds)]


@dataclass(frozen=True)
class Inputs:
    """What the models of a benchmark are fed.

    Attributes:
        vocab: model's name -> random ids are drawn below this.
        batches: batch size -> model's name -> the task's batches, as lists; every
            model has equally many. Empty without a case that needs them.
        seed: of the random ids.
    """

    vocab: Mapping[str, int]
    batches: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]]
    seed: int = 0

    def feed(self, worker: WorkerClient, case: Case) -> None:
        """Have a worker's next runs take the inputs of a case."""
        if case.seq_len == "task":
            batches = self.batches[case.batch][worker.name]
            worker.feed(batches, what=f"batch {case.batch} of the task's rows")
        else:
            worker.feed_random(
                batch=case.batch,
                seq_len=case.seq_len,
                vocab=self.vocab[worker.name],
                seed=self.seed,
            )


def time_case(
    workers: Sequence[WorkerClient],
    case: Case,
    schedule: Schedule,
    *,
    inputs: Inputs,
    watch: Watch | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Turns]:
    """Time all models on one case.

    Each turn starts when the threads of the model before have come to rest, with one
    untimed run, which fills the caches again; very long runs go without. A round (one
    turn of each model) that other work disturbs is dropped, and made again after the others.

    Args:
        workers: one per model.
        case: the shape.
        schedule: how often.
        inputs: what the models are fed.
        watch: finds disturbed turns; by default none is.
        progress: told after each turn whose it was; not of what is made again.

    Returns:
        Seconds of each run, by model's name, one list per turn; empty where too few rounds
        were undisturbed.
    """
    for worker in workers:
        inputs.feed(worker, case)
        worker.time(0, warmup=schedule.warmup)
    limits: dict[str, float] = {}
    if case.seq_len == "task":
        turns = schedule.turns(_affordable(workers, schedule))
    else:
        turns = schedule.turns()
        limits = {
            "seconds": schedule.max_seconds / len(turns),
            "min_seconds": schedule.min_seconds / len(turns),
        }
    waiting = deque(zip(accumulate(turns, initial=0), turns, strict=False))
    rounds: list[dict[str, list[float]]] = []
    for number in range(TRIES * len(turns)):
        if not waiting:
            break
        start, runs = waiting.popleft()
        before = rounds[-1] if rounds else {}
        made: dict[str, list[float]] = {}
        for worker in workers:
            begun = watch.look() if watch else None
            _rest(workers)
            is_long = worker.name in before and min(before[worker.name]) > WARM_ENOUGH
            seconds = worker.time(runs, warmup=0 if is_long else 1, start=start, **limits)
            if watch and watch.is_disturbed(begun):
                waiting.append((start, runs))
                break
            made[worker.name] = seconds
            if number < len(turns):
                progress(worker.name)
        else:
            rounds.append(made)
    if len(rounds) < ENOUGH * len(turns):
        return {}
    return {worker.name: [made[worker.name] for made in rounds] for worker in workers}


def _rest(workers: Sequence[WorkerClient]) -> None:
    """Wait until the threads of another model have come to rest, if there is another."""
    if len(workers) > 1:
        time.sleep(REST)


def _affordable(workers: Sequence[WorkerClient], schedule: Schedule) -> int:
    """Return how many runs every model makes, so that all take the very same batches.

    A limit of seconds would let a slow model see fewer batches, and so other
    lengths, than a fast one. The fastest decides what the least seconds need,
    the slowest what the most allow; each turn has one run at least.
    """
    means = []
    for worker in workers:
        _rest(workers)
        means.append(fmean(worker.time(PROBES)))
    needed = max(schedule.runs, math.ceil(schedule.min_seconds / min(means)))
    allowed = math.floor(schedule.max_seconds / max(means))
    return max(min(needed, allowed), len(schedule.turns()))
