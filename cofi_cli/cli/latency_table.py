"""``cofi bench --table``: measure a latency table, write it, show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.cli.console import say, show_json, show_lines, show_tables
from cofi_cli.cli.progress import make_progress
from cofi_cli.config import CaseConfig
from cofi_cli.errors import CofiError
from cofi_cli.format import Table, milliseconds
from cofi_cli.presets import Layer, resolve_config
from cofi_cli.runs import write_text

if TYPE_CHECKING:
    from cofi_cli.benchmarking.latency_table import Report
    from cofi_cli.pruning.cost import LatencyTable
    from cofi_cli.training.stages.progress import Progress


def measure_and_show(
    places: list[Path],
    case: CaseConfig,
    *,
    task: str | None,
    data: str | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure the table of one model, in one case.

    Raises:
        CofiError: several models, or what the measurement refuses.
    """
    if len(places) != 1:
        raise CofiError(
            f"A latency table is of one model, and {len(places)} are named.",
            hint="cofi bench MODEL --table -o FILE",
        )
    say(f"Measuring a latency table of {places[0]}", quiet=quiet)
    from cofi_cli.benchmarking.scored_models import first_task
    from cofi_cli.benchmarking.table_request import dense_model, request_table
    from cofi_cli.runtime.disturbance import busy_note
    from cofi_cli.runtime.named_task import named_task

    if note := busy_note():
        say(f"Warning: {note}")
    model = dense_model(places[0])
    known = named_task(task, data)
    if known is None and case.seq_len == "task":
        known, _ = first_task(places, is_needed=True)
    progress = make_progress(quiet=quiet)
    try:
        table = request_table(model, case, task=known, report=table_report(progress))
    finally:
        progress.close()
    file = output or Path(default_name(table))
    write_text(file, table.model_dump_json(indent=1) + "\n")
    if as_json:
        show_json(table.model_dump(mode="json"))
    else:
        show_tables(tables_of(table))
        show_lines([f"table   {file}", f"next    cofi prune MODEL --speedup 8 --table {file}"])


def case_of(**values: Any) -> CaseConfig:
    """Return a case, or say which of its values is none.

    Raises:
        CofiError: naming the flag and what it takes.
    """
    given = [
        Layer({"case": {name: value}}, f"--{name.replace('_', '-')}")
        for name, value in values.items()
    ]
    return resolve_config([Layer({"model": "of a table"}, ""), *given]).case


def table_report(progress: Progress) -> Report:
    """Return a callback that shows how far a table is."""
    name = "latency table"

    def report(what: str, done: int, total: int) -> None:
        if done == 0:
            progress.stage(name, total)
        progress.step({"stage": name, "step": done + 1})

    return report


def default_name(table: LatencyTable) -> str:
    """Return ``latency-cpu-fp32-b1-s128.json``."""
    length = "task" if table.seq_len == "task" else f"s{table.seq_len}"
    return f"latency-{table.provider}-{table.precision}-b{table.batch}-{length}.json"


def tables_of(table: LatencyTable) -> list[Table]:
    """Return the milliseconds of sub-layers by units and hidden width."""

    def drawn(
        title: str, what: str, units: tuple[int, ...], rows: tuple[tuple[float, ...], ...]
    ) -> Table:
        columns = (what, *(f"hidden {width}" for width in table.hidden))
        cells = (
            (str(unit), *(milliseconds(1e3 * row[place]) for row in rows))
            for place, unit in enumerate(units)
        )
        return Table(title, columns, tuple(cells))

    return [
        drawn("Attention, ms a layer", "heads", table.heads, table.attention_seconds),
        drawn("FFN, ms a layer", "width", table.ffn_widths, table.ffn_seconds),
        Table("", ("", "ms"), (("the rest", milliseconds(1e3 * table.fixed_seconds)),)),
    ]
