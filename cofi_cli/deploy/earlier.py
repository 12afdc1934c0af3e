"""An earlier bench.json, read and checked before anything is measured against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.deploy.measures import MEASURES
from cofi_cli.errors import CofiError
from cofi_cli.runs import read_json

Row = dict[str, Any]
KEYS = {"models": ("name",), "cases": ("model", "case"), "scores": ("model",)}
"""List of bench.json -> what its rows are known by."""


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
        rows = values.get(name) or []
        if not isinstance(rows, list) or not all(_has(row, keys) for row in rows):
            raise _unreadable(file, f"'{name}' is not a list of rows with {' and '.join(keys)}")
    for measure in MEASURES.values():
        for row in values.get(measure.section) or []:
            value = row.get(measure.key)
            if value is not None and not _is_number(value):
                raise _unreadable(file, f"{measure.key} is {value!r}, which is no number")


def _has(row: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _unreadable(file: Path, why: str) -> CofiError:
    return CofiError(
        f"{file} is not the result of a benchmark: {why}.",
        hint="Measure it again: cofi bench RUN --output bench.json.",
    )
