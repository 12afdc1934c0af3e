"""The gates of a bench.json in words, and the error of those that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cofi_cli.errors import GATE, CofiError

Row = dict[str, Any]


def gate_error(gates: Sequence[Row]) -> CofiError | None:
    """Return the error that names every gate that failed (exit code 3), or ``None``."""
    failed = [describe_gate(gate) for gate in gates if not gate["passed"]]
    if not failed:
        return None
    return CofiError(f"Gate failed: {'; '.join(failed)}.", exit_code=GATE)


def describe_gate(gate: Row) -> str:
    """Say in words what a gate found."""
    if gate.get("reason"):
        asked = gate.get("expression") or f"{gate['name']} {gate['threshold']:g}"
        return f"'{asked}' cannot be judged, case {gate['case']} is {gate['reason']}"
    if gate["name"] == "fail_if":
        return _describe_change(gate)
    if gate["value"] is None and gate["model"] is not None:
        return f"{gate['model']} or what it is compared with has no score"
    if gate["value"] is None:
        return f"{gate['name']} {gate['threshold']:g} found nothing to judge"
    if gate["name"] == "min_speedup":
        vs, is_equal = gate.get("vs"), gate.get("equal_precision") is not False
        over = f" over {vs}" if vs else ""
        how = "" if is_equal else " (another precision; there is no dense file of its own)"
        return (
            f"{gate['model']} has a speedup of {gate['value']:.2f}{over}{how} in case "
            f"{gate['case']}, needed is {gate['threshold']:g}"
        )
    return (
        f"{gate['model']} loses {gate['value']:.2f} points of score, "
        f"allowed is {gate['threshold']:g}"
    )


def _describe_change(gate: Row) -> str:
    if gate["before"] is None:
        return f"'{gate['expression']}' found nothing to compare {gate['metric']} with"
    where = f"{gate['model']} {gate['case']}" if gate["case"] else str(gate["model"])
    unit = gate["unit"] if gate["unit"] == "%" else f" {gate['unit']}"
    change = (
        "has a change without measure"
        if gate["value"] is None
        else (f"changed by {gate['value']:+.2f}{unit}")
    )
    interval, beside = gate["interval"], gate["baseline_ratio"]
    details = [f"ratio {interval[0]:.3f} to {interval[1]:.3f}"] if interval else []
    if gate["outcome"] == "too noisy":
        details.append("too noisy to say; more --runs or --min-seconds narrow it")
    if beside is not None:
        details.append(f"the baseline itself by {100 * (beside - 1):+.1f}%")
    words = f" ({', '.join(details)})" if details else ""
    limit = f"{gate['threshold']:+g}{unit}"
    return f"{gate['metric']} of {where} {change}{words}, '{gate['expression']}' allows {limit}"
