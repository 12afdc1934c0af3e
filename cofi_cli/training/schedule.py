"""Whether a schedule leaves the gates time to close."""

from __future__ import annotations

from cofi_cli.config import RunConfig
from cofi_cli.pruning.hard_concrete import TO_CLOSE
from cofi_cli.training.loop import total_steps


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
