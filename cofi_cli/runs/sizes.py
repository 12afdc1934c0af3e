"""The sizes of a run: which one is chosen, and how ``model/`` becomes another one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from cofi_cli.errors import GATE, UNREACHABLE, CofiError
from cofi_cli.runs.atomic import read_json, write_atomic, write_json
from cofi_cli.runs.folder import RunDir
from cofi_cli.runs.records import Chosen, RunReport, SizeRow
from cofi_cli.tolerances import within


def choose(rows: Sequence[SizeRow], max_drop: float | None) -> SizeRow:
    """Return the smallest size whose score drops by no more than allowed.

    Args:
        rows: of report.json's ``sizes``, the largest model first.
        max_drop: points of validation score; ``None`` allows any.

    Raises:
        CofiError: no size holds it; the nearest is named (exit code 3).
    """
    if max_drop is None:
        return rows[-1]
    fitting = [row for row in rows if within(row.drop, max_drop)]
    if fitting:
        return fitting[-1]
    near = nearest(rows)
    error = near.standard_error
    noise = f", standard error {error:.2f}" if error is not None else ""
    raise CofiError(
        f"No size loses at most {max_drop:g} points of validation score: the nearest is "
        f"{near.name}, which loses {near.drop:.2f}{noise}.",
        hint=f"Allow more: --max-drop {near.drop + 0.05:.1f}, or make a larger size.",
        exit_code=GATE,
    )


def nearest(rows: Sequence[SizeRow]) -> SizeRow:
    """Return the size that loses least, the smallest of equals."""
    return min(reversed(rows), key=lambda row: row.drop)


def sizes_of(run: RunDir) -> list[SizeRow]:
    """Return the rows of a run's sizes, the largest model first.

    Raises:
        CofiError: the run is not finished, or made one size only (exit codes 6 and 2).
    """
    if not run.is_finished:
        raise CofiError(
            f"{run.root} holds no finished run.",
            hint="Name one, or finish it: cofi prune --resume",
            exit_code=UNREACHABLE,
        )
    rows = RunReport.read(run.report_json).sizes
    if len(rows) < 2 or not run.sizes.is_dir():
        raise CofiError(
            f"{run.root} has one size only, where several are needed.",
            hint="Make several in one run: cofi prune MODEL --sparsity 0.6,0.8,0.95",
        )
    return rows


def size_folders(run: RunDir) -> dict[str, RunDir]:
    """Return where the sizes of a run lie, the chosen one first: that is the run itself.

    Raises:
        CofiError: the run is not finished, or made one size only (exit codes 6 and 2).
    """
    names = [row.name for row in sizes_of(run)]
    report = RunReport.read(run.report_json)
    first = report.chosen.name if report.chosen is not None else names[-1]
    return {first: run} | {name: run.size(name) for name in names if name != first}


def take(run: RunDir, name: str, *, max_drop: float | None, missed: str | None = None) -> None:
    """Make a size the run's model: ``model/``, ``plan.json`` and report.json become its own.

    What was exported and measured of the size before goes to that one's folder. The report states
    ``max_drop``, by which the size was chosen, and why it is ``missed`` what was asked for.
    """
    size = run.size(name)
    before = RunReport.read(run.report_json) if run.report_json.exists() else None
    former = before.chosen.name if before and before.chosen else None
    if former is not None and former != name:
        for path in (run.onnx, run.bench):
            _move(path, run.size(former).root / path.name)

    write_atomic(run.model, lambda temporary: shutil.copytree(size.model, temporary))
    write_json(run.plan, read_json(size.plan))
    chosen = Chosen(name=name, max_drop=max_drop, missed=missed)
    report = RunReport.read(size.report_json)
    report.model_copy(update={"chosen": chosen}).write(run.report_json)


def _move(path: Path, target: Path) -> None:
    """Move a file or folder, unless the target is there already."""
    if not path.exists():
        return
    if target.exists():
        target = target.with_name(f"{target.name}.before")
    if not target.exists():
        path.rename(target)
