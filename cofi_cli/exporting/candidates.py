"""Which of several files of one function is the fastest here: measured, in turn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cofi_cli.runs.records import Candidate, ExportConditions
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import WorkerClient, open_workers
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.model import FALLBACK_VOCAB
from cofi_cli.runtime.timing import STEADY, Case, Inputs, Schedule, Turns, cross, time_case

SCHEDULE = Schedule(runs=40, rounds=8, warmup=3, max_seconds=4.0, min_seconds=STEADY / 2)
TRIALS = 3
"""At most: what other work on the machine has blurred is timed again."""
GAIN = 1.1
"""A speedup that has to be found, or ruled out."""


@dataclass(frozen=True)
class Conditions:
    """What a file is to be fast at.

    Attributes:
        provider: ``cpu`` or ``cuda``.
        threads: within an operator.
        batch, seq_len: sizes; every one with every other.
        schedule: how long each file is timed.
    """

    provider: str
    threads: int
    batch: tuple[int, ...] = (1,)
    seq_len: tuple[int, ...] = (128,)
    schedule: Schedule = field(default=SCHEDULE)

    @property
    def cases(self) -> list[Case]:
        """Return the cases."""
        return cross(self.batch, self.seq_len)

    def record(self) -> ExportConditions:
        """Return them as export.json states them."""
        return ExportConditions(
            provider=self.provider,
            threads=self.threads,
            batch=list(self.batch),
            seq_len=list(self.seq_len),
        )


@dataclass(frozen=True)
class Ranking:
    """Candidates by speed.

    Attributes:
        order: names, the one to keep first.
        rows: a row per candidate and case: p50_ms, and its speedup over the first candidate.
        tied: those behind the first of the order that are slower in no case beyond noise.
    """

    order: list[str]
    rows: list[Candidate]
    tied: list[str] = field(default_factory=list)

    @property
    def fastest(self) -> list[str]:
        """Return the first of the order and what ties with it."""
        return [self.order[0], *self.tied]


def rank(files: Mapping[str, Path], conditions: Conditions) -> Ranking:
    """Time files in turn, each in its own process, and order them by speed.

    The first one stands in front unless another is faster beyond noise: its interval
    lies above 1 in some case, and below 1 in none. Where an interval is too wide to
    tell a good gain from none, the trial goes on.

    Raises:
        CofiError: a file does not open, or the provider is not there.
    """
    first = next(iter(files))
    with open_workers(files, provider=conditions.provider, threads=conditions.threads) as workers:
        vocab = {name: inspect(path).vocab or FALLBACK_VOCAB for name, path in files.items()}
        timed = _timed(workers, first, conditions, Inputs(vocab, {}))
    rows, gain = [], {first: 1.0}
    for name in files:
        ratios = []
        for case in conditions.cases:
            turns = timed[case.name]
            of = _speedup(turns, first, name)
            ratios.append(of)
            rows.append(
                Candidate(
                    name=name,
                    case=case.name,
                    p50_ms=statistics.summarize(turns[name]).p50 * 1e3,
                    vs=first,
                    ratio=of.ratio,
                    interval=(of.low, of.high),
                )
            )
        if name != first:
            mean = math.exp(sum(math.log(of.ratio) for of in ratios) / len(ratios))
            verdicts = {of.verdict for of in ratios}
            is_faster = "faster" in verdicts and "slower" not in verdicts
            gain[name] = mean if is_faster else min(mean, 1.0) - 1e-9
    order = sorted(files, key=lambda name: -gain[name])
    best, *others = order
    tied = [
        name
        for name in others
        if all(_speedup(turns, best, name).high >= 1 for turns in timed.values())
    ]
    return Ranking(order, rows, tied)


def _timed(
    workers: Sequence[WorkerClient], first: str, conditions: Conditions, inputs: Inputs
) -> dict[str, dict[str, Turns]]:
    """Return the turns of each file in each case.

    A file that may gain much over the first one, or nothing, is timed again beside it, so
    that turn ``i`` of any file ran next to turn ``i`` of the first.
    """
    timed: dict[str, dict[str, Turns]] = {}
    asked = list(workers)
    for _ in range(TRIALS):
        for case in conditions.cases:
            own = timed.setdefault(case.name, {})
            for name, turns in time_case(asked, case, conditions.schedule, inputs=inputs).items():
                own[name] = [*own.get(name, []), *turns]
        unclear = {
            worker.name
            for worker in asked
            if worker.name != first
            and any(_is_unclear(_speedup(turns, first, worker.name)) for turns in timed.values())
        }
        if not unclear:
            break
        asked = [worker for worker in workers if worker.name in unclear | {first}]
    return timed


def _is_unclear(of: statistics.Ratio) -> bool:
    return of.verdict == "none" and of.high >= GAIN


def _speedup(turns: Mapping[str, Turns], base: str, name: str) -> statistics.Ratio:
    """Return the speedup over a file, by the turns that both have."""
    both = min(len(turns[base]), len(turns[name]))
    return statistics.speedup(turns[base][:both], turns[name][:both])
