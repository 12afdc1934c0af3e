"""The steps of a run's stages, and whether they leave the gates time to close."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from cofi_cli.config import PruneConfig, RecoverConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.hard_concrete import TO_CLOSE


def total_steps(rows: int, *, batch_size: int, epochs: float) -> int:
    """Return the steps of a stage; a fractional epoch is rounded up to whole steps."""
    return math.ceil(epochs * math.ceil(rows / batch_size))


@dataclass(frozen=True)
class Schedule:
    """Steps of pruning and recovery.

    Attributes:
        dense: before any gate may close.
        ramp: over which the target rises.
        prune: of the whole pruning stage, the dense and the ramp steps among them.
        recover: of recovery; 0 leaves it out.
    """

    dense: int
    ramp: int
    prune: int
    recover: int

    @classmethod
    def of(cls, pruning: PruneConfig, recovery: RecoverConfig, *, rows: int) -> Schedule:
        """Return the schedule that a configuration's epochs make; no step without training.

        Args:
            pruning, recovery: sections of the configuration.
            rows: of the training split, windows counted as rows.
        """
        if pruning.method == "fast":
            return cls(dense=0, ramp=0, prune=0, recover=0)

        def steps(epochs: float) -> int:
            return total_steps(rows, batch_size=pruning.batch_size, epochs=epochs)

        return cls(
            dense=steps(pruning.dense_epochs),
            ramp=steps(pruning.ramp_epochs),
            prune=steps(pruning.epochs),
            recover=total_steps(rows, batch_size=recovery.batch_size, epochs=recovery.epochs),
        )

    def scaled(self, factor: float) -> Schedule:
        """Return the same shares of ``factor`` times the steps, one at the target at least."""
        dense, ramp = round(self.dense * factor), round(self.ramp * factor)
        return Schedule(
            dense=dense,
            ramp=ramp,
            prune=max(dense + ramp + 1, round(self.prune * factor)),
            recover=round(self.recover * factor),
        )

    def as_dict(self) -> dict[str, int]:
        """Return plain numbers, for JSON."""
        return asdict(self)


def check_schedule(settings: PruneConfig, steps: Schedule, *, rows: int) -> None:
    """Refuse a schedule that, in whole steps, ends before the target is asked for.

    Raises:
        CofiError: naming the steps.
    """
    if steps.prune <= steps.dense + steps.ramp and settings.method == "gates":
        raise CofiError(
            f"{rows:,} rows in batches of {settings.batch_size} make {steps.prune:,} steps of "
            f"prune.epochs {settings.epochs:g}, of which the dense epochs take {steps.dense:,} and "
            f"the ramp {steps.ramp:,}: none is left at the target.",
            hint="Raise prune.epochs, or use a smaller prune.batch_size.",
        )


def slow_gates(settings: PruneConfig, steps: Schedule) -> str | None:
    """Return a warning where open gates cannot close in the steps that they have.

    Adam moves a log-alpha by about one learning rate a step. Under ``held`` all gates are
    also shifted together, so they close in time at any rate.
    """
    if settings.constraint == "held":
        return None
    time, rate = steps.prune - steps.dense, settings.gate_learning_rate
    if time * rate >= TO_CLOSE:
        return None
    return (
        f"Open gates cannot close in the {time:,} steps after the dense epochs: a log-alpha falls "
        f"by {TO_CLOSE:.1f} first, at prune.gate_learning_rate {rate:g} in {TO_CLOSE / rate:,.0f} "
        "steps at the soonest. Raise the rate or prune.epochs, or use prune.constraint=held."
    )
