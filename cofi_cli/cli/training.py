"""Code that ``prune`` and ``finetune`` share: from the flags to the final tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from cofi_cli.cli.console import prepare, say, show_json, show_lines, show_tables
from cofi_cli.cli.folders import free_folder, run_name, unfinished_run
from cofi_cli.cli.given import build_config
from cofi_cli.cli.latency_table import table_report
from cofi_cli.cli.launch import agreed_folder, process_index
from cofi_cli.cli.progress import make_progress
from cofi_cli.config import RunConfig
from cofi_cli.errors import GATE, CofiError
from cofi_cli.format import clock
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport

if TYPE_CHECKING:
    from cofi_cli.benchmarking.stopwatch import Stopwatch

Command = Literal["prune", "finetune"]
_SHOWN_LABELS = 10


def train(
    command: Command,
    flags: Mapping[str, Any],
    *,
    preset: str | None,
    config: Path | None,
    overrides: Sequence[str] | None,
    output: Path | None,
    resume: bool,
    as_json: bool,
    quiet: bool,
    dry_run: bool = False,
) -> None:
    """Run a command from its flags to its tables.

    A resumed run keeps the configuration that it was started with. Flags given together with
    ``--resume`` are compared with that configuration when training starts.

    Raises:
        CofiError: bad input, no run to resume, or no size loses as little as was asked.
    """
    quiet = quiet or process_index() > 0
    prepare(quiet=quiet)
    announce = partial(say, quiet=quiet)
    saved = None
    if resume:
        run = RunDir(output) if output else unfinished_run(command=command)
        output = run.root
        if run.exists:
            announce(f"Resuming {run.root}")
            saved = run.config
        else:
            announce(f"{run.root} holds no run yet; starting one")
    resolved = build_config(
        flags,
        preset=preset,
        config=config,
        overrides=overrides,
        saved=saved,
        starts_from_teacher=command == "prune",
        announce=announce,
    )
    run = RunDir(output or free_folder(run_name(resolved, command=command)))
    run = agreed_folder(run, resolved)
    if dry_run:
        _show_plan(resolved, run, resume=resume, as_json=as_json)
    else:
        _run(command, resolved, run, resume=resume, as_json=as_json, quiet=quiet)


def _run(
    command: Command, config: RunConfig, run: RunDir, *, resume: bool, as_json: bool, quiet: bool
) -> None:
    """Train, write the report, show it."""
    from cofi_cli import training
    from cofi_cli.report.report import write_report

    say(f"Run folder: {run.root}", quiet=quiet)
    with closing(make_progress(quiet=quiet)) as progress:
        if command == "finetune":
            report = training.finetune(config, run, resume=resume, progress=progress)
        else:
            watch = _stopwatch(config)
            report = training.prune(config, run, resume=resume, progress=progress, stopwatch=watch)
    if process_index() > 0:
        return
    write_report(run)
    if as_json:
        show_json(report.as_json())
    else:
        _show_report(report, run)
    for warning in report.warnings:
        say(f"Warning: {warning}")
    if report.advice is not None:
        say(report.advice)
    if report.chosen is not None and report.chosen.missed is not None:
        raise CofiError(
            report.chosen.missed,
            hint="The model is there all the same: choose with cofi pick.",
            exit_code=GATE,
        )


def _stopwatch(config: RunConfig) -> Stopwatch | None:
    """Return what measures speeds, where one is asked for."""
    if not config.prune.is_speed:
        return None
    from cofi_cli.benchmarking.stopwatch import Stopwatch

    return Stopwatch(table_report)


def _show_report(report: RunReport, run: RunDir) -> None:
    """Write the report's tables, the structure and the next command to stdout."""
    from cofi_cli.cli.next_step import next_step
    from cofi_cli.format import speed_words, vocabulary_words
    from cofi_cli.report.bars import structure_lines
    from cofi_cli.report.tables import size_table, stage_table, summary_table

    show_tables([size_table(report), summary_table(report), stage_table(report)])
    lines = []
    if report.structure is not None:
        lines += [*structure_lines(report.structure), ""]
    if report.note:
        lines += [report.note, ""]
    lines += [f"model   {run.model}", f"report  {run.report_md}"]
    if run.structure.exists():
        lines.append(f"picture {run.structure}")
    if report.vocabulary is not None:
        lines.append(f"pieces  {vocabulary_words(report.vocabulary)}")
    if (target := report.latency_target) is not None:
        lines.append(f"speed   {speed_words(target)}")
    show_lines([*lines, next_step(report, run, all_sizes=len(report.sizes) > 1)])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _some(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_SHOWN_LABELS])
    return shown if len(labels) <= _SHOWN_LABELS else f"{shown}, ... ({len(labels)} in all)"


def _target_facts(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    if plan["reachable_speedup"] is not None:
        low, high = plan["reachable_speedup"]
        return [("reachable speedup", f"{low:g} to {high:.2f}, by the table")]
    low, high = plan["reachable_sparsity"]
    return [
        ("kept at the target", f"{plan['kept_weights']:,}"),
        ("reachable sparsity", f"{low:g} to {high:.4f}"),
    ]


def _show_plan(config: RunConfig, run: RunDir, *, resume: bool, as_json: bool) -> None:
    """``--dry-run``: check everything and show what a run would do."""
    from cofi_cli.format import Table
    from cofi_cli.training import dry_run

    with closing(make_progress(quiet=as_json)) as progress:
        watch = _stopwatch(config)
        plan = dry_run(config, run, resume=resume, stopwatch=watch, progress=progress)
    plan |= {"output": str(run.root)}
    if process_index() > 0:
        return
    resolved = config.model_dump(mode="json")
    if as_json:
        show_json({"config": resolved, **plan})
        return
    facts = (
        ("model", str(plan["model"])),
        ("task", f"{plan['task']}: {plan['kind']}, by {plan['metric']}"),
        *([("labels", _some(plan["labels"]))] if plan["labels"] else []),
        ("rows", _counts(plan["rows"])),
        *([("windows, trained on as rows", _counts(plan["features"]))] if plan["features"] else []),
        ("prunable weights", f"{plan['prunable_weights']:,}"),
        *_target_facts(plan),
        ("run folder", plan["output"]),
    )
    stages = tuple(
        (s["name"], f"{s['steps']:,}", f"about {clock(s['seconds'])}") for s in plan["stages"]
    )
    show_lines(["# Resolved configuration", yaml.safe_dump(resolved, sort_keys=False).rstrip()])
    show_tables(
        [
            Table("What a run would do", ("", ""), facts),
            Table("Stages", ("stage", "steps", "time"), stages),
        ]
    )
    show_lines([f"Warning: {note}" for note in plan["warnings"]])
    show_lines(["Dry run: everything was checked, nothing was trained or written."])
