"""What pruning is asked for: a share of the weights, or a speed by a measured table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_cli.config import PruneConfig
from cofi_cli.pruning.cost import (
    Cost,
    LatencyCost,
    LatencyTable,
    ParameterCost,
    reachable,
    read_table,
    reduction,
)
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs.records import LatencySetting, LatencyTarget


@dataclass(frozen=True)
class Target:
    """A reduction of a cost.

    Attributes:
        cost: that is reduced.
        reduction: asked for, 1 - cost / dense cost; of weights the sparsity, of a speedup s
            1 - 1 / s.
        speedup: asked for; ``None`` where weights are counted.
        table: that the speed is told by; ``None`` likewise.
    """

    cost: Cost
    reduction: float
    speedup: float | None = None
    table: LatencyTable | None = None

    @classmethod
    def of(cls, settings: PruneConfig, shape: EncoderShape) -> Target:
        """Return the target of a configuration for an encoder of this shape.

        Raises:
            CofiError: the latency table cannot be read, or is not of this encoder.
        """
        if settings.speedup is None:
            assert settings.sparsity is not None, "the configuration has one of the two"
            return cls(ParameterCost(shape), settings.sparsity)
        assert settings.table is not None, "a speedup comes with a table"
        table = read_table(Path(settings.table), shape)
        return cls(LatencyCost(table), 1 - 1 / settings.speedup, settings.speedup, table)

    def most(self, groups: Sequence[str], multiple: int) -> float:
        """Return the largest reduction that these groups of gates can reach."""
        return reachable(self.cost, groups, multiple)

    def reached(self, plan: PrunePlan) -> float:
        """Return the reduction that a plan realises."""
        return reduction(self.cost, plan.widths)

    def row(self, name: str, value: float) -> dict[str, float]:
        """Return a reduction as the log states it: ``target_sparsity`` or ``target_speedup``."""
        if self.speedup is None:
            return {f"{name}_sparsity": value}
        return {f"{name}_speedup": as_speedup(value)}

    def report(self, plan: PrunePlan) -> LatencyTarget | None:
        """Return what a report says of a speedup that was asked for, ``None`` where none was."""
        if self.table is None or self.speedup is None:
            return None
        return LatencyTarget(
            speedup=self.speedup,
            expected_speedup=as_speedup(self.reached(plan)),
            dense_seconds=self.cost.dense,
            expected_seconds=self.cost.exact(plan.widths),
            setting=LatencySetting.model_validate(self.table.setting()),
        )

    def missed(self, reached: float) -> str:
        """Say by how much a reduction misses the target."""
        if self.speedup is None:
            return (
                f"The target was missed: realised sparsity is {reached:.4f}, "
                f"{100 * (self.reduction - reached):.2f} points below {self.reduction}."
            )
        return (
            f"The target was missed: by its table the model is {as_speedup(reached):.2f} times as "
            f"fast as the dense one, not {self.speedup:g} times."
        )


def as_speedup(reduced: float) -> float:
    """Return how many times as fast an encoder is that takes so much less time."""
    return 1 / (1 - reduced)
