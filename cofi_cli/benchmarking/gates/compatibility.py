"""What two results hold under one name and is not the same thing: it is not compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cofi_cli.benchmarking.gates.metrics import Measure

Row = dict[str, Any]
Place = tuple[str, str, str | None]
"""What is meant (a list of bench.json, or ``peak``), model, and case if it has one."""

_SAME = {
    "scores": ("task", "metric", "rows"),
    "cases": ("rows", "mean_length"),
    "speedups": ("vs",),
}
"""List of bench.json -> what its rows must agree in. Only cases with the task's rows have any."""
_PEAK = "peak"


def unlike(before: Row, now: Row) -> dict[Place, str]:
    """Return what is not the same in two bench.json, and for each why it is not compared."""
    found: dict[Place, str] = {}
    for section, keys in _SAME.items():
        olds = {_place(section, row): row for row in before.get(section) or []}
        for row in now.get(section) or []:
            place = _place(section, row)
            facts = [_facts(one, keys) for one in (olds.get(place, {}), row)]
            if all(facts) and facts[0] != facts[1]:
                what = {
                    "scores": f"The scores of {place[1]} are",
                    "cases": f"{place[2]} of {place[1]} is",
                    "speedups": f"The speedup of {place[1]} in {place[2]} is",
                }[section]
                found[place] = f"{what} not compared: {facts[0]} before, {facts[1]} now."
    known = {row["name"] for row in before["models"]}
    for model in [row["name"] for row in now["models"] if row["name"] in known]:
        cases = [list(_cases(values, model)) for values in (before, now)]
        if set(cases[0]) != set(cases[1]):
            found[_PEAK, model, None] = f"The memory of {model} is not compared: {peaks(*cases)}."
    return found


def place_of(measure: Measure, model: str, case: str | None) -> Place:
    """Return where :func:`unlike` says of a figure that it is not to be compared."""
    return (_PEAK if measure.over_cases else measure.section), model, case


def peaks(before: Sequence[str], now: Sequence[str]) -> str:
    """Say which cases two peaks are of."""
    return f"it is the peak over {', '.join(before)} before, over {', '.join(now)} now"


def _place(section: str, row: Row) -> Place:
    return section, row["model"], row.get("case")


def _facts(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {row[key]}" for key in keys if key in row)


def _cases(values: Row, model: str) -> Iterator[str]:
    """Return the cases that a model ran, those too whose latencies were dropped."""
    yield from (row["case"] for row in values["cases"] if row["model"] == model)
    yield from (row["case"] for row in values.get("unmeasured") or [])
