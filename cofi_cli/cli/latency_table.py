"""``cofi bench --table``: measure a latency table, write it, show it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.cli.console import say, show_json, show_lines, show_tables
from cofi_cli.cli.flags import listed
from cofi_cli.cli.progress import make_progress
from cofi_cli.config import BenchConfig, CaseConfig
from cofi_cli.config_errors import configured
from cofi_cli.errors import CofiError
from cofi_cli.format import Table, milliseconds
from cofi_cli.runs import write_text
from cofi_cli.runs.find import run_of

if TYPE_CHECKING:
    from cofi_cli.benchmarking.latency_table import Report
    from cofi_cli.pruning.cost import LatencyTable
    from cofi_cli.training.stages.progress import Progress


def measure_and_show(
    places: list[Path],
    case: CaseConfig,
    config: BenchConfig,
    *,
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
            f"A latency table describes one model, but {len(places)} are named.",
            hint="cofi bench MODEL --table -o FILE",
        )
    say(f"Measuring a latency table of {places[0]}", quiet=quiet)
    from cofi_cli.benchmarking.latency_table import dense_model, request_table
    from cofi_cli.benchmarking.scored_models import first_task
    from cofi_cli.runtime.disturbance import busy_note
    from cofi_cli.runtime.named_task import named_task

    if note := busy_note():
        say(f"Warning: {note}")
    model = dense_model(places[0])
    known = named_task(config.task, config.data)
    if known is None and case.seq_len == "task":
        run = run_of(places[0])
        known, _ = first_task([run] if run is not None else [], is_needed=True)
    with closing(make_progress(quiet=quiet)) as progress:
        table = request_table(model, case, task=known, report=table_report(progress))
    file = output or Path(default_name(table))
    write_text(file, table.model_dump_json(indent=1) + "\n")
    if as_json:
        show_json(table.model_dump(mode="json"))
    else:
        show_tables(tables_of(table))
        show_lines([f"table   {file}", f"next    cofi prune MODEL --speedup 8 --table {file}"])


def one_case(config: BenchConfig, *, precision: str | None) -> CaseConfig:
    """Return the one case of a table.

    Args:
        config: of a benchmark; holds the other flags.
        precision: of the table.

    Raises:
        CofiError: several batch sizes or lengths, or no such precision.
    """
    batch = config.batch if "batch" in config.model_fields_set else (1,)
    lengths = config.seq_len or ()
    for flag, several in (("--batch", batch), ("--seq-len", lengths)):
        if len(several) > 1:
            raise CofiError(
                f"A latency table describes one case, but {flag} is {listed(several)}.",
                hint="Measure one table for each.",
            )
    values = {
        "provider": config.provider,
        "precision": precision or "fp32",
        "batch": batch[0],
        "seq_len": lengths[0] if lengths else None,
        "threads": config.threads,
    }
    return configured(CaseConfig, values, {"precision": "--precision"})


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
