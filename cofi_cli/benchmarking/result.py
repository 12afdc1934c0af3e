"""What a benchmark found: the content of bench.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cofi_cli.benchmarking.records import Row
from cofi_cli.runs import RunDir, write_json


@dataclass(frozen=True)
class BenchResult:
    """The content of bench.json.

    Attributes:
        env: machine, versions, provider, threads and schedule.
        models: a row a model: name, bytes, sha256, precision, runtime, cold start, peak memory.
        cases: a row per model and case; milliseconds, raw samples by turn.
        unmeasured: a row per case without latencies, with the ``reason``.
        speedups: a row per model and case against the baseline.
        headline: a row per pruned model and case at equal precision, with the product
            of pruning, precision and runtime beside it.
        scores: the task metric of each model, in points; empty without a task.
        gates: a row per threshold and model.
        left_out: name and reason of files that the provider cannot serve.
        comparison: against an earlier result: its file, what differs in the
            environment, what did not match, and a row per figure; ``None`` without.
        baseline: name of the model that the others are compared with.
        run: the run that was benchmarked, if it was one.
    """

    env: Row
    models: list[Row]
    cases: list[Row]
    unmeasured: list[Row] = field(default_factory=list)
    speedups: list[Row] = field(default_factory=list)
    headline: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    gates: list[Row] = field(default_factory=list)
    left_out: list[Row] = field(default_factory=list)
    comparison: Row | None = None
    baseline: str | None = None
    run: RunDir | None = None

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate["passed"] for gate in self.gates)

    def to_json(self) -> Row:
        """Return what bench.json holds."""
        measured = ("env", "baseline", "models", "cases", "unmeasured", "speedups", "headline")
        concluded = ("scores", "gates", "left_out", "comparison")
        return {name: getattr(self, name) for name in (*measured, *concluded)}

    def write(self, path: Path) -> None:
        """Write bench.json to ``path``."""
        write_json(path, self.to_json())
