"""Benchmark ONNX models side by side: what a deployer will see, with its uncertainty."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.benchmarking.gates.compatibility import unlike
from cofi_cli.benchmarking.gates.fail_if import Condition, parse_conditions
from cofi_cli.benchmarking.gates.previous_result import Earlier, load_earlier
from cofi_cli.benchmarking.gates.regression import (
    check_comparison,
    compare,
    differences,
    few_runs,
    regression_gates,
)
from cofi_cli.benchmarking.gates.thresholds import check_gates, drop_gates, speedup_gates
from cofi_cli.benchmarking.measure import measure
from cofi_cli.benchmarking.records import (
    Row,
    case_row,
    gate_rows,
    headline_rows,
    speedup_rows,
    unmeasured_rows,
)
from cofi_cli.benchmarking.result import BenchResult
from cofi_cli.benchmarking.scored_models import first_task, scored_models
from cofi_cli.benchmarking.targets import Targets, resolve_targets
from cofi_cli.benchmarking.task_batches import TaskBatches, lengths_of, task_batches
from cofi_cli.errors import CofiError
from cofi_cli.exporting.export import export, is_fresh
from cofi_cli.report.report import add_section, current_bench
from cofi_cli.runs import RunDir, machine
from cofi_cli.runtime.lengths import LENGTH, check_lengths, cut_to_fit, usual_length
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.providers import BUILDS, provider_name, require_one_build, torch_serves
from cofi_cli.runtime.scoring import DevSets
from cofi_cli.runtime.timing import Case, Inputs, Length, Progress, Schedule, Turns, cross

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)


def bench(
    targets: Sequence[Path],
    *,
    baseline: Path | None = None,
    provider: str = "cpu",
    batch: Sequence[int] = (1, 32),
    seq_len: Sequence[Length] | None = None,
    threads: int | None = None,
    runs: int = 30,
    warmup: int = 3,
    max_seconds: float = 30.0,
    min_seconds: float = 0.0,
    torch: bool | None = None,
    task: Task | None = None,
    score: bool = True,
    score_rows: int | None = None,
    min_speedup: float | None = None,
    max_drop: float | None = None,
    compare_with: Path | None = None,
    fail_if: Sequence[str] = (),
    gate_case: str | None = None,
    gate_model: str | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Time and score models, each in a process of its own, in turn.

    For a single run as target, bench.json and the run's report are written.
    A failed gate is a row in the result, not an error: see
    :func:`cofi_cli.runs.gate_results.gate_error`.

    Args:
        targets: runs, model folders, ONNX files; see
            :func:`cofi_cli.benchmarking.targets.resolve_targets` for what each stands for.
        baseline: what the others are compared with.
        provider: ``cpu`` or ``cuda``; verified.
        batch: batch sizes; every one is measured with every length.
        seq_len: lengths in tokens, and ``"task"`` for those of the task's own rows; by default 128,
            or what the models take at most.
        threads: within an operator; by default one per core that we may use.
        runs: timed runs per model and case.
        warmup: untimed runs before them.
        max_seconds: timed seconds per model and case; slow cases get fewer runs.
        min_seconds: timed seconds per model and case; fast cases get more runs.
        torch: whether to time the checkpoints in PyTorch as well; by default those that
            runs and model folders have, where PyTorch serves the provider, unscored.
        task: whose dev set the files are scored on; by default that of the first run, and then
            models of runs with another task are not scored.
        score: whether to score at all.
        score_rows: score the first so many rows only.
        min_speedup: smallest speedup that passes, in the worst case or ``gate_case``;
            at equal precision where there is a dense file of it.
        max_drop: most points of score that may be lost against the baseline.
        compare_with: bench.json of an earlier result.
        fail_if: what may not have changed since then; see
            :mod:`cofi_cli.benchmarking.gates.fail_if`.
        gate_case: the only case that is judged, for example ``b1-s128``.
        gate_model: the only model that is judged; by default all but dense ones,
            PyTorch's and the baseline.
        progress: called after each turn.

    Raises:
        CofiError: a wrong argument (2), a provider that is not there or two builds of
            onnxruntime (5), a file that is missing or does not open (6).
    """
    cases = cross(batch, seq_len if seq_len is not None else (LENGTH,))
    schedule = Schedule(runs=runs, warmup=warmup, max_seconds=max_seconds, min_seconds=min_seconds)
    provider_name(provider)
    require_one_build(machine.versions(*BUILDS), provider=provider)
    conditions, earlier = _demands(compare_with, fail_if)
    pinned = threads if threads is not None else machine.default_threads()
    machine.check_threads(pinned)
    if score_rows is not None and score_rows < 1:
        raise CofiError(
            f"score_rows is {score_rows}; it must be at least 1.",
            hint="To leave scores out: --no-score.",
        )
    found = resolve_targets(
        targets,
        baseline=baseline,
        is_fresh=is_fresh,
        exporter=export,
        provider=provider,
        torch=torch if torch is not None or torch_serves(provider) else False,
    )
    if found.run is not None:
        found.run.refuse_links()
    if seq_len is None:
        cases = cross(batch, (usual_length(found.models),))
    check_lengths(found.models, cases)
    needs_rows = any(case.seq_len == "task" for case in cases)
    needs_score = max_drop is not None or any(c.measure.name == "score" for c in conditions)
    known, home = task, None
    if task is None and (score or needs_rows):
        known, home = first_task(targets, is_needed=needs_rows or needs_score)
    if needs_rows and known is None:
        raise CofiError(
            "seq_len is 'task', and there is no task whose rows could tell the lengths.",
            hint="Benchmark a run, name the task with --task, or give lengths: --seq-len 64,128.",
        )
    scored: list[Model] = []
    if known is not None:
        known = cut_to_fit(known, found.models)
    if score and known is not None:
        scored = scored_models(found.models, known, home=home, torch=bool(torch))
    names = [case.name for case in cases]
    judged = found.judged if gate_model is None else (gate_model,)
    check_gates(
        min_speedup,
        max_drop,
        case=gate_case,
        cases=names,
        has_baseline=found.baseline is not None,
        has_task=score and known is not None,
        model=gate_model,
        models=[model.name for model in found.models],
        judged=[name for name in judged if name != found.baseline],
        baseline=found.baseline,
        scored=[model.name for model in scored],
    )
    notes = []
    if earlier is not None:
        notes = check_comparison(
            earlier,
            conditions,
            models=[model.name for model in found.models],
            judged=judged,
            cases=names if gate_case is None else [gate_case],
            all_cases=names,
            has_scores=any(model.name in judged for model in scored),
        )
        _warn(notes)
    dev = {}
    if known is not None and scored:  # what cannot be scored is told before minutes of timing
        sets = DevSets(known, limit=score_rows, sizes=batch)
        dev = {model.name: sets.of(model) for model in scored}
    made: dict[int, dict[str, TaskBatches]] = {}
    if needs_rows and known is not None:
        made = task_batches(found.models, known, list(dict.fromkeys(batch)))
    inputs = Inputs(
        vocab={model.name: model.vocab for model in found.models},
        batches={
            size: {name: one.batches for name, one in of.items()} for size, of in made.items()
        },
        seed=schedule.seed,
    )

    differing: list[str] = []

    def opened(env: Row) -> None:
        if earlier is not None:
            differing.extend(differences(earlier.values["env"], env))
            _warn([f"Latencies may differ by the environment alone: {d}." for d in differing])

    measured = measure(
        found.models,
        cases,
        schedule,
        inputs,
        provider=provider,
        threads=pinned,
        dev=dev,
        opened=opened,
        report=progress or (lambda *_: None),
    )
    timed = measured.timed
    unmeasured = unmeasured_rows(cases, timed)
    cases = [case for case in cases if timed[case.name]]

    speedups = speedup_rows(found, cases, timed)
    headline = headline_rows(found, cases, timed, speedups)
    gates = []
    if min_speedup is not None:
        own = [row for row in gate_rows(speedups, headline) if row["model"] in judged]
        gates += speedup_gates(own, min_speedup, case=gate_case, unmeasured=unmeasured)
    if max_drop is not None and found.baseline is not None:
        points = {model.name: math.nan for model in scored}
        points |= {row["model"]: row["score"] for row in measured.scores}
        gates += drop_gates(points, found.baseline, max_drop, judged=judged)
    result = BenchResult(
        env=measured.env,
        models=measured.models,
        cases=_case_rows(found, cases, timed, made, provider),
        unmeasured=unmeasured,
        speedups=speedups,
        headline=headline,
        scores=measured.scores,
        gates=gates,
        left_out=[dict(row) for row in found.left_out],
        baseline=found.baseline,
        run=found.run,
    )
    if earlier is not None:
        said = {"file": str(earlier.path), "environment": differing, "notes": notes}
        result = _compared(result, earlier, conditions, said, judged=judged, case=gate_case)
    if (speedups or earlier is not None) and (few := few_runs(result.to_json(), earlier)):
        _warn(
            [
                f"Too few runs to know the noise of {', '.join(few)}: their speedups, changes and "
                "gates say little. Raise --runs, or --max-seconds where it ended them."
            ]
        )
    if found.run is not None:
        try:
            _save(result, found.run)
        except CofiError as error:  # the minutes of timing are not lost with it
            logger.warning("The run keeps no record of this benchmark: %s", error.message)
    return result


def _compared(
    result: BenchResult,
    earlier: Earlier,
    conditions: Sequence[Condition],
    said: Row,
    *,
    judged: Sequence[str],
    case: str | None,
) -> BenchResult:
    """Return the result with what changed since an earlier one, and the gates on that."""
    now = result.to_json()
    rows = compare(earlier, now)
    notes = [*said["notes"], *unlike(earlier.values, now).values()]
    gates = regression_gates(
        conditions,
        rows,
        judged=judged,
        baseline=result.baseline,
        case=case,
        unmeasured=[row for row in result.unmeasured if row["case"] in earlier.cases],
    )
    return replace(
        result, gates=[*result.gates, *gates], comparison=said | {"notes": notes, "rows": rows}
    )


def _save(result: BenchResult, run: RunDir) -> None:
    """Write the run's bench.json and draw its report again.

    An earlier result that has a case which was not measured now is kept.
    """
    before = current_bench(run) if result.unmeasured else None
    known = {row["case"] for row in before["cases"]} if before else set()
    if kept := [row["case"] for row in result.unmeasured if row["case"] in known]:
        logger.warning("The run keeps its earlier benchmark, which has %s.", ", ".join(kept))
        return
    result.write(run.bench)
    section = {key: result.env[key] for key in ("provider", "threads")}
    lists = {key: getattr(result, key) for key in ("speedups", "headline", "gates")}
    add_section(run, "bench", section | lists)


def _demands(
    compare_with: Path | None, fail_if: Sequence[str]
) -> tuple[list[Condition], Earlier | None]:
    """Read what may not have changed, and since when."""
    conditions = parse_conditions(fail_if)
    if conditions and compare_with is None:
        raise CofiError(
            f"--fail-if '{conditions[0].text}' needs an earlier result to compare with.",
            hint="Add --compare old/bench.json.",
        )
    return conditions, None if compare_with is None else load_earlier(compare_with)


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        logger.warning("%s", note)


def _case_rows(
    found: Targets,
    cases: Sequence[Case],
    timed: dict[str, dict[str, Turns]],
    made: dict[int, dict[str, TaskBatches]],
    provider: str,
) -> list[Row]:
    rows = []
    for case in cases:
        for model in found.models:
            is_task = case.seq_len == "task"
            lengths = lengths_of(made, case.batch, model.name) if is_task else None
            turns = timed[case.name][model.name]
            rows.append(case_row(model, case, turns, provider, lengths))
    return rows
