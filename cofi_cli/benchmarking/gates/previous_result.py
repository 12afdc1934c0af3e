"""An earlier bench.json, read and checked before anything is measured against it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from cofi_cli.benchmarking.gates.metrics import MEASURES
from cofi_cli.errors import CofiError
from cofi_cli.runs import read_json

Row = dict[str, Any]
KEYS = {
    "models": ("name",),
    "cases": ("model", "case"),
    "speedups": ("model", "case", "vs"),
    "scores": ("model",),
}
"""List of bench.json -> what its rows are known by."""
_SMALLEST, _LARGEST = 1e-30, 1e30
"""No figure but 0 is nearer to it or farther from it: their quotients are numbers."""


@dataclass(frozen=True)
class Earlier:
    """A bench.json of an earlier measurement."""

    path: Path
    values: Row

    @property
    def models(self) -> list[str]:
        """Names of its models."""
        return [row["name"] for row in self.values["models"]]

    @property
    def cases(self) -> list[str]:
        """Names of its cases."""
        return list(dict.fromkeys(row["case"] for row in self.values["cases"]))


def load_earlier(path: Path) -> Earlier:
    """Read an earlier result: bench.json, or the folder that it lies in.

    Raises:
        CofiError: it cannot be read (6), or is something else (2).
    """
    file = path / "bench.json" if path.is_dir() else path
    values = read_json(file)
    needed = ("env", "models", "cases")
    missing = [key for key in needed if not isinstance(values, dict) or key not in values]
    if missing:
        raise CofiError(
            f"{file} is not the result of a benchmark: it lacks {', '.join(missing)}.",
            hint="--compare takes a bench.json: cofi bench RUN --output bench.json writes one.",
        )
    _check(file, values)
    return Earlier(file, values)


def _check(file: Path, values: Row) -> None:
    """Refuse rows that name nothing and figures that are no numbers: what is compared by them."""
    if not isinstance(values["env"], dict):
        raise _unreadable(file, "'env' is not a mapping")
    for name, keys in KEYS.items():
        rows = values.get(name, [])
        if not isinstance(rows, list) or not all(_has(row, keys) for row in rows):
            raise _unreadable(file, f"'{name}' is not a list of rows with {' and '.join(keys)}")
    for measure in MEASURES.values():
        for row in values.get(measure.section, []):
            value = row.get(measure.key)
            if value is None:
                continue
            if not _is_number(value):
                raise _unreadable(file, f"{measure.key} is {value!r}, which is no number")
            if not _is_plausible(value, may_be_negative=measure.name == "score"):
                raise _unreadable(file, f"{measure.key} is {value!r}, which nothing measures")
    for row in values["cases"]:
        _check_runs(file, row)


def _check_runs(file: Path, case: Row) -> None:
    if type(case.get("runs", 0)) is not int:
        raise _unreadable(file, f"runs is {case['runs']!r}, which is no whole number")
    turns = case.get("samples_ms") or []
    if not isinstance(turns, list) or not all(isinstance(turn, list) for turn in turns):
        raise _unreadable(file, "samples_ms is not a list of turns with a list of runs each")
    for run in chain.from_iterable(turns):
        if not _is_number(run) or not run or not _is_plausible(run):
            raise _unreadable(file, f"samples_ms holds {run!r}, which is no latency")


def _has(row: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


def _is_plausible(value: float, *, may_be_negative: bool = False) -> bool:
    is_in_range = value == 0 or _SMALLEST <= abs(value) <= _LARGEST
    return is_in_range and (may_be_negative or value >= 0)


def _unreadable(file: Path, why: str) -> CofiError:
    return CofiError(
        f"{file} is not the result of a benchmark: {why}.",
        hint="Measure it again: cofi bench RUN --output bench.json.",
    )
