"""An earlier result: read, and what one name stands for in it and for something else now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_cli.benchmarking.gates.metrics import Measure
from cofi_cli.runs.records import BenchEnv, BenchResult

Place = tuple[str, str, str | None]
"""What is meant (a list of bench.json, or ``peak``), model, and case if it has one."""

_PEAK = "peak"

SAME = {
    "cpu": "processor",
    "flags": "instruction sets",
    "cores": "cores",
    "logical_cores": "logical cores",
    "gpu": "GPU",
    "driver": "GPU driver",
    "provider": "provider",
    "threads": "threads",
    "onnxruntime": "onnxruntime",
}
"""Key of ``env`` -> what it is called. Where one differs, so may every latency."""


@dataclass(frozen=True)
class Earlier:
    """An earlier result, and where it was read."""

    path: Path
    result: BenchResult


def load_earlier(path: Path) -> Earlier:
    """Read an earlier result: bench.json, or the folder that it lies in.

    Raises:
        CofiError: it cannot be read, or is something else (exit code 6).
    """
    file = path / "bench.json" if path.is_dir() else path
    return Earlier(file, BenchResult.read(file))


def differences(before: BenchEnv, now: BenchEnv) -> list[str]:
    """Say what is not the same in two environments; latencies may differ by that alone."""
    return [
        f"{words} {_flat(getattr(before, key))} before, {_flat(getattr(now, key))} now"
        for key, words in SAME.items()
        if getattr(before, key) != getattr(now, key)
    ]


def unlike(before: BenchResult, now: BenchResult) -> dict[Place, str]:
    """Return what is not the same in two results, and for each why it is not compared."""
    found: dict[Place, str] = {}
    olds = dict(_facts(before))
    for place, (what, facts) in _facts(now):
        _, old = olds.get(place, (what, facts))
        if old != facts:
            found[place] = f"{what} not compared: {old} before, {facts} now."
    known = {row.name for row in before.models}
    for model in [row.name for row in now.models if row.name in known]:
        cases = [list(_cases(result, model)) for result in (before, now)]
        if set(cases[0]) != set(cases[1]):
            found[_PEAK, model, None] = f"The memory of {model} is not compared: {peaks(*cases)}."
    return found


def place_of(measure: Measure, model: str, case: str | None) -> Place:
    """Return where :func:`unlike` says of a figure that it is not to be compared."""
    return (_PEAK if measure.over_cases else measure.section), model, case


def peaks(before: Sequence[str], now: Sequence[str]) -> str:
    """Say which cases two peaks are of."""
    then, today = (", ".join(cases) or "no case" for cases in (before, now))
    return f"it is the peak over {then} before, over {today} now"


def _facts(result: BenchResult) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Yield what has to agree: place, what it is called, and the facts in words."""
    for score in result.scores:
        facts = f"task {score.task}, metric {score.metric}, rows {score.rows}"
        yield ("scores", score.model, None), (f"The scores of {score.model} are", facts)
    for row in result.cases:
        if row.rows is not None:
            facts = f"rows {row.rows}, mean_length {row.mean_length}"
            yield ("cases", row.model, row.case), (f"{row.case} of {row.model} is", facts)
    for speedup in result.speedups:
        what = f"The speedup of {speedup.model} in {speedup.case} is"
        yield ("speedups", speedup.model, speedup.case), (what, f"vs {speedup.vs}")


def _cases(result: BenchResult, model: str) -> Iterator[str]:
    """Return the cases that a model ran, those too whose latencies were dropped."""
    yield from (row.case for row in result.cases if row.model == model)
    yield from (row.case for row in result.unmeasured)


def _flat(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
