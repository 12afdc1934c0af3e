"""The steps of a schedule, and whether they leave the gates time to close."""

from __future__ import annotations

import math

from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.hard_concrete import TO_CLOSE


def total_steps(rows: int, *, batch_size: int, epochs: float) -> int:
    """Return the steps of a stage; a fractional epoch is rounded up to whole steps."""
    return math.ceil(epochs * math.ceil(rows / batch_size))


def check_schedule(config: RunConfig, *, rows: int) -> None:
    """Refuse a schedule that, in whole steps, ends before the target is asked for.

    Raises:
        CofiError: naming the steps.
    """
    settings = config.prune
    total, dense, ramp = (
        total_steps(rows, batch_size=settings.batch_size, epochs=epochs)
        for epochs in (settings.epochs, settings.dense_epochs, settings.ramp_epochs)
    )
    if total <= dense + ramp:
        raise CofiError(
            f"{rows:,} rows in batches of {settings.batch_size} make {total:,} steps of "
            f"prune.epochs {settings.epochs:g}, of which the dense epochs take {dense:,} and the "
            f"ramp {ramp:,}: none is left at the target.",
            hint="Raise prune.epochs, or use a smaller prune.batch_size.",
        )


def slow_gates(config: RunConfig, *, rows: int) -> str | None:
    """Return a warning where open gates cannot close in the steps that they have.

    Adam moves a log-alpha by about one learning rate a step. Under ``held`` all gates are
    also shifted together, so they close in time at any rate.

    Args:
        config: of the run.
        rows: of the training split, windows counted as rows.
    """
    settings = config.prune
    if settings.constraint == "held":
        return None
    total, dense = (
        total_steps(rows, batch_size=settings.batch_size, epochs=epochs)
        for epochs in (settings.epochs, settings.dense_epochs)
    )
    steps, rate = total - dense, settings.gate_learning_rate
    if steps * rate >= TO_CLOSE:
        return None
    return (
        f"Open gates cannot close in the {steps:,} steps after the dense epochs: a log-alpha falls "
        f"by {TO_CLOSE:.1f} first, at prune.gate_learning_rate {rate:g} in {TO_CLOSE / rate:,.0f} "
        "steps at the soonest. Raise the rate or prune.epochs, or use prune.constraint=held."
    )
