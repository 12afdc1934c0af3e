"""An earlier result: read, and held against what is about to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_cli.benchmarking.gates.compatibility import peaks
from cofi_cli.benchmarking.gates.fail_if import Condition
from cofi_cli.benchmarking.gates.metrics import Measure
from cofi_cli.errors import CofiError
from cofi_cli.runs.records import BenchEnv, BenchResult

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

    @property
    def models(self) -> list[str]:
        """Names of its models."""
        return [row.name for row in self.result.models]

    @property
    def cases(self) -> list[str]:
        """Names of its cases."""
        return self.result.case_names


def load_earlier(path: Path) -> Earlier:
    """Read an earlier result: bench.json, or the folder that it lies in.

    Raises:
        CofiError: it cannot be read, or is something else (exit code 6).
    """
    file = path / "bench.json" if path.is_dir() else path
    return Earlier(file, BenchResult.read(file))


def check_comparison(
    earlier: Earlier,
    conditions: Sequence[Condition],
    *,
    models: Sequence[str],
    judged: Sequence[str],
    cases: Sequence[str],
    all_cases: Sequence[str] | None = None,
    has_scores: bool,
) -> list[str]:
    """Refuse before measuring what could not be judged after it; return what does not match.

    Args:
        earlier: the result to compare with.
        conditions: what may not happen.
        models: names that will be measured.
        judged: those of them that thresholds apply to.
        cases: names of the cases that will be judged.
        all_cases: names of those that will be measured; by default the same.
        has_scores: whether there will be scores.

    Raises:
        CofiError: a condition has nothing to be held against.
    """
    notes = []
    measured = cases if all_cases is None else all_cases
    for what, now, before in (("Model", models, earlier.models), ("Case", measured, earlier.cases)):
        if new := [name for name in now if name not in before]:
            notes.append(f"{what} {', '.join(new)}: not in {earlier.path}; not compared.")
        if gone := [name for name in before if name not in now]:
            notes.append(f"{what} {', '.join(gone)}: only in {earlier.path}; not compared.")
    for condition in conditions:
        measure = condition.measure
        theirs = {
            model
            for model, case, _ in measure.values(earlier.result)
            if case is None or case in cases
        }
        if not theirs & set(judged):
            raise CofiError(
                f"--fail-if '{condition.text}' has nothing to compare with: {earlier.path} has "
                f"{measure.name} of {_places(earlier, measure)}; to be judged here are "
                f"{_named(judged, cases if measure.per_case else ())}.",
                hint="Measure the same models and cases: --batch, --seq-len, --gate-case.",
            )
        if measure.over_cases and set(measured) != set(earlier.cases):
            raise CofiError(
                f"--fail-if '{condition.text}' has nothing to compare with: "
                f"{peaks(earlier.cases, measured)}.",
                hint="Measure the same cases: --batch, --seq-len.",
            )
        if measure.section == "scores" and not has_scores:
            raise CofiError(
                f"--fail-if '{condition.text}' needs scores, and there is no task to score on.",
                hint="Benchmark a run, or name the task with --task; PyTorch models are scored "
                "with --torch.",
            )
    return notes


def differences(before: BenchEnv, now: BenchEnv) -> list[str]:
    """Say what is not the same in two environments; latencies may differ by that alone."""
    return [
        f"{words} {_flat(getattr(before, key))} before, {_flat(getattr(now, key))} now"
        for key, words in SAME.items()
        if getattr(before, key) != getattr(now, key)
    ]


def _places(earlier: Earlier, measure: Measure) -> str:
    found = list(measure.values(earlier.result))
    cases = dict.fromkeys(case for _, case, _ in found if case is not None)
    return _named(list(dict.fromkeys(model for model, _, _ in found)), list(cases))


def _named(models: Sequence[str], cases: Sequence[str]) -> str:
    if not models:
        return "no model"
    return ", ".join(models) + (f" in {', '.join(cases)}" if cases else "")


def _flat(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
