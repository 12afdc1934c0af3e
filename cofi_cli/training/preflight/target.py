"""Check from configurations and a latency table alone that a target can be reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cofi_cli.architectures import dense_config
from cofi_cli.config import ALL_GATES, CaseConfig, RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.cost import LatencyTable, read_table
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs import RunDir
from cofi_cli.training.stages.target import Target, as_speedup


def check_target(
    config: RunConfig, run: RunDir | None, measure: Callable[[CaseConfig], LatencyTable]
) -> Target:
    """Return the target when the chosen gates can reach it.

    Args:
        run: its folder, which may hold a table that was measured before.
        measure: measures a table of a case where there is none.

    Raises:
        CofiError: stating the reachable range; or there is no such latency table, or it is of
            another case; or the model is not reachable, not supported, or compact already.
    """
    shape, settings = EncoderShape.of(dense_config(config.model)), config.prune
    table = _table(config, run, shape, measure) if settings.is_speed else None
    target = Target.of(settings, shape, table)
    most = target.most(settings.gates, settings.round_widths_to)
    for size in target.sizes(settings):
        if not 0 <= size.reduction <= most:
            raise _unreachable(config, shape, size, most)
    return target


def _unreachable(config: RunConfig, shape: EncoderShape, target: Target, most: float) -> CofiError:
    settings = config.prune
    is_part = set(settings.gates) != set(ALL_GATES)
    chosen = f" with prune.gates {', '.join(settings.gates)} alone" if is_part else ""
    if target.table is None:
        asked, range_ = f"prune.sparsity {target.name}", f"0 to {most:.4f}"
        known = f"'{config.model}' has {shape.prunable:,} prunable weights"
    else:
        times = [f"{1e3 * target.cost.dense * (1 - share):.3g} ms" for share in (0.0, most)]
        asked, range_ = f"prune.speedup {target.speedup:g}", f"1 to {as_speedup(most):.2f}"
        if target.seconds is not None:
            latency = settings.latency if target.seconds == settings.seconds else target.name
            asked, range_ = f"prune.latency {latency}", f"{times[1]} to {times[0]}"
        table = f"by {settings.table}" if settings.table else "as measured here"
        known = f"{table} '{config.model}' takes {times[0]}, and {times[1]} at least"
    return CofiError(
        f"{asked} cannot be reached{chosen}: {known}; the reachable range is {range_}.",
        hint="Ask for less, or leave prune.gates out." if is_part else None,
    )


def _table(
    config: RunConfig,
    run: RunDir | None,
    shape: EncoderShape,
    measure: Callable[[CaseConfig], LatencyTable],
) -> LatencyTable:
    """Return the table that is named, that the run has, or that is measured now."""
    if (named := config.prune.table) is not None:
        table = read_table(Path(named), shape)
        _check_case(Path(named), table, config.case)
        return table
    if run is not None and run.latency_table.exists():
        return read_table(run.latency_table, shape)
    case = config.case
    if case.threads is None:
        case = case.model_copy(update={"threads": config.train.threads})
    return measure(case)


def _check_case(path: Path, table: LatencyTable, asked: CaseConfig) -> None:
    """Refuse a table of another case than the one asked for.

    Raises:
        CofiError: naming what differs.
    """
    theirs = table.setting()
    differs = [
        f"{name} {theirs[name]}, not {value}"
        for name, value in asked.model_dump().items()
        if value is not None and value != theirs[name]
    ]
    if differs:
        raise CofiError(
            f"{path} was measured in another case: {'; '.join(differs)}.",
            hint="Leave the table out, and one is measured for the case; or leave the case out.",
        )
