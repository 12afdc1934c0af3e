"""Benchmark ONNX models side by side: what a deployer will see, with its uncertainty."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.deploy import environment
from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.export import export, is_fresh
from cofi_cli.deploy.gates import check_gates, drop_gates, speedup_gates
from cofi_cli.deploy.providers import provider_name
from cofi_cli.deploy.report import add_section
from cofi_cli.deploy.rows import Row, case_row, model_row, session_env, speedup_rows
from cofi_cli.deploy.scoring import score_model
from cofi_cli.deploy.source import run_of, task_of
from cofi_cli.deploy.targets import Model, resolve_targets
from cofi_cli.deploy.timing import Case, Progress, Schedule, Turns, cross, time_case
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir, write_json

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchResult:
    """The content of bench.json.

    Attributes:
        env: machine, versions, provider, threads and schedule.
        models: a row a file: name, bytes, precision, load time, peak memory.
        cases: a row per model and case; milliseconds, raw samples by turn.
        speedups: a row per model and case against the baseline.
        scores: the task metric of each file, in points; empty without a task.
        gates: a row per threshold and model.
        baseline: name of the model that the others are compared with.
        run: the run that was benchmarked, if it was one.
    """

    env: Row
    models: list[Row]
    cases: list[Row]
    speedups: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    gates: list[Row] = field(default_factory=list)
    baseline: str | None = None
    run: RunDir | None = None

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate["passed"] for gate in self.gates)

    def to_json(self) -> Row:
        """Return what bench.json holds."""
        names = ("env", "baseline", "models", "cases", "speedups", "scores", "gates")
        return {name: getattr(self, name) for name in names}

    def write(self, path: Path) -> None:
        """Write bench.json to ``path``."""
        write_json(path, self.to_json())


def bench(
    targets: Sequence[Path],
    *,
    baseline: Path | None = None,
    provider: str = "cpu",
    batch: Sequence[int] = (1, 32),
    seq_len: Sequence[int] = (128,),
    threads: int | None = None,
    runs: int = 30,
    warmup: int = 3,
    max_seconds: float = 30.0,
    task: Task | None = None,
    score: bool = True,
    score_rows: int | None = None,
    min_speedup: float | None = None,
    max_drop: float | None = None,
    gate_case: str | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Time and score models, each in a process of its own, in turn.

    For a single run as target, bench.json and the run's report are written.
    A failed gate is a row in the result, not an error: see
    :func:`cofi_cli.deploy.gates.gate_error`.

    Args:
        targets: runs, model folders, ONNX files; see
            :func:`cofi_cli.deploy.targets.resolve_targets` for what each stands for.
        baseline: what the others are compared with.
        provider: ``cpu`` or ``cuda``; verified.
        batch: batch sizes; every one is measured with every length.
        seq_len: lengths in tokens.
        threads: within an operator; by default one per core that we may use.
        runs: timed runs per model and case.
        warmup: untimed runs before them.
        max_seconds: timed seconds per model and case; slow cases get fewer runs.
        task: whose dev set the files are scored on; by default the run's own.
        score: whether to score at all.
        score_rows: score the first so many rows only.
        min_speedup: smallest speedup that passes, in the worst case or ``gate_case``.
        max_drop: most points of score that may be lost against the baseline.
        gate_case: for example ``b1-s128``.
        progress: called after each turn.

    Raises:
        CofiError: a wrong argument (2), a provider that is not there (5), a file
            that is missing or does not open (6).
    """
    cases = cross(batch, seq_len)
    schedule = Schedule(runs=runs, warmup=warmup, max_seconds=max_seconds)
    provider_name(provider)
    pinned = threads if threads is not None else environment.physical_cores()
    if pinned < 1:
        raise CofiError(f"threads is {pinned}; it must be at least 1.")
    found = resolve_targets(targets, baseline=baseline, is_fresh=is_fresh, exporter=export)
    known = _task(task, targets, is_needed=max_drop is not None) if score else None
    check_gates(
        min_speedup,
        max_drop,
        case=gate_case,
        cases=[case.name for case in cases],
        has_baseline=found.baseline is not None,
        has_task=known is not None,
    )
    report = progress or (lambda *_: None)

    env = environment.describe_machine()
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                WorkerClient(m.path, name=m.name, provider=provider, threads=pinned)
            )
            for m in found.models
        ]
        env |= session_env(workers[0], provider, pinned, schedule)
        timed = _time(workers, found.models, cases, schedule, report)
        models = [model_row(w, m) for w, m in zip(workers, found.models, strict=True)]
        scores: list[Row] = []
        if known is not None:
            for worker, model in zip(workers, found.models, strict=True):
                report(f"score of {model.name}", len(scores), len(workers))
                scores.append(score_model(worker, model, known, limit=score_rows))

    speedups = speedup_rows(found, cases, timed)
    gates = []
    if min_speedup is not None:
        gates += speedup_gates(speedups, min_speedup, case=gate_case)
    if max_drop is not None and found.baseline is not None:
        by_name = {row["model"]: row["score"] for row in scores}
        gates += drop_gates(by_name, found.baseline, max_drop)
    rows = [
        case_row(m, case, timed[case.name][m.name], provider)
        for case in cases
        for m in found.models
    ]
    result = BenchResult(env, models, rows, speedups, scores, gates, found.baseline, found.run)
    if found.run is not None:
        result.write(found.run.bench)
        add_section(
            found.run,
            "bench",
            {
                "provider": provider,
                "threads": pinned,
                "speedups": speedups,
                "gates": gates,
            },
        )
    return result


def _time(
    workers: Sequence[WorkerClient],
    models: Sequence[Model],
    cases: Sequence[Case],
    schedule: Schedule,
    report: Progress,
) -> dict[str, dict[str, Turns]]:
    total = len(cases) * len(workers) * len(schedule.turns())
    done = 0
    timed = {}
    for case in cases:

        def turn_over(name: str, case: Case = case) -> None:
            nonlocal done
            done += 1
            report(f"{name} {case.name}", done, total)

        timed[case.name] = time_case(
            workers,
            case,
            schedule,
            vocab={m.name: m.vocab for m in models},
            progress=turn_over,
        )
    return timed


def _task(task: Task | None, targets: Sequence[Path], *, is_needed: bool) -> Task | None:
    """Return the task given, else that of the first target that is a run or lies in one.

    A task whose data is not reachable costs the scores, not the benchmark,
    unless they are needed for a gate.
    """
    if task is not None:
        return task
    runs = [run for run in map(run_of, targets) if run is not None]
    config = next(filter(None, map(task_of, runs)), None)
    if config is None:
        return None
    from cofi_cli.tasks import load_task

    try:
        return load_task(config)
    except CofiError as error:
        if is_needed or error.exit_code != UNREACHABLE:
            raise
        logger.warning("No scores: %s", error.message)
        return None
