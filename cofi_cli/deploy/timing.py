"""The order of measuring: models in turn, A B A B, so that they share the machine's moods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cofi_cli.deploy.client import WorkerClient
from cofi_cli.errors import CofiError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many turns are over, and of how many."""

Turns = list[list[float]]
"""Seconds of each run, one inner list per turn."""

WARM_ENOUGH = 0.25
"""Seconds. A run longer than this does not notice what the caches held before it."""


@dataclass(frozen=True)
class Case:
    """One shape of input: fixed batch, fixed length, no padding."""

    batch: int
    seq_len: int

    @property
    def name(self) -> str:
        """Return for example ``b1-s128``."""
        return f"b{self.batch}-s{self.seq_len}"


def cross(batch: Sequence[int], seq_len: Sequence[int]) -> list[Case]:
    """Return every batch size with every length.

    Raises:
        CofiError: there is none, or one is below 1.
    """
    for name, values in (("batch", batch), ("seq_len", seq_len)):
        if not values or min(values) < 1:
            raise CofiError(f"{name} is {list(values)}; it takes numbers of at least 1.")
    return [Case(b, s) for s in dict.fromkeys(seq_len) for b in dict.fromkeys(batch)]


@dataclass(frozen=True)
class Schedule:
    """How often each model runs in each case.

    Attributes:
        runs: timed runs of a model, over all its turns.
        rounds: turns of a model.
        warmup: untimed runs before the first turn.
        max_seconds: timed seconds of a model; fewer runs where they would take longer.
        seed: of the random input ids.
    """

    runs: int = 30
    rounds: int = 10
    warmup: int = 3
    max_seconds: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise CofiError(f"runs is {self.runs}; it must be at least 1.")
        if self.warmup < 0:
            raise CofiError(f"warmup is {self.warmup}; it must not be negative.")
        if self.max_seconds <= 0:
            raise CofiError(f"max_seconds is {self.max_seconds}; it must be above 0.")

    def turns(self) -> list[int]:
        """Return the number of runs of each turn."""
        rounds = min(self.rounds, self.runs)
        base, extra = divmod(self.runs, rounds)
        return [base + (i < extra) for i in range(rounds)]


def time_case(
    workers: Sequence[WorkerClient],
    case: Case,
    schedule: Schedule,
    *,
    vocab: Mapping[str, int],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Turns]:
    """Time all models on one case.

    Each turn starts with one untimed run, which fills the caches again and lets
    the other model's threads come to rest; very long runs go without.

    Args:
        workers: one per model.
        case: the shape.
        schedule: how often.
        vocab: of each model, by name; ids are drawn below it.
        progress: told after each turn whose it was.

    Returns:
        Seconds of each run, by model's name, one list per turn.
    """
    turns = schedule.turns()
    seconds = schedule.max_seconds / len(turns)
    samples: dict[str, Turns] = {worker.name: [] for worker in workers}

    def run(worker: WorkerClient, runs: int, warmup: int) -> list[float]:
        timed: list[float] = worker.ask(
            "time",
            batch=case.batch,
            seq_len=case.seq_len,
            vocab=vocab[worker.name],
            seed=schedule.seed,
            runs=runs,
            warmup=warmup,
            seconds=seconds,
        )["samples"]
        return timed

    for worker in workers:
        run(worker, 0, schedule.warmup)
    for runs in turns:
        for worker in workers:
            own = samples[worker.name]
            is_long = bool(own) and min(own[-1]) > WARM_ENOUGH
            own.append(run(worker, runs, 0 if is_long else 1))
            progress(worker.name)
    return samples
