"""The target of pruning: a share of the weights, or a speed by a measured table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cofi_cli.config import PruneConfig
from cofi_cli.pruning.cost import (
    Cost,
    LatencyCost,
    LatencyTable,
    ParameterCost,
    reachable,
    reduction,
)
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs.records import LatencySetting, LatencyTarget, MeasuredPlan


@dataclass(frozen=True)
class Target:
    """A reduction of a cost.

    Attributes:
        cost: that is reduced.
        reduction: asked for, 1 - cost / dense cost; of weights the sparsity, of a speedup s
            1 - 1 / s.
        speedup: asked for; ``None`` where weights are counted.
        seconds: of a call, asked for in the place of a speedup.
        table: gives the speed; ``None`` if weights are counted.
    """

    cost: Cost
    reduction: float
    speedup: float | None = None
    seconds: float | None = None
    table: LatencyTable | None = None

    @classmethod
    def of(cls, settings: PruneConfig, shape: EncoderShape, table: LatencyTable | None) -> Target:
        """Return the target of a configuration for an encoder of this shape.

        Args:
            settings: sparsity, speedup or latency.
            shape: dense.
            table: of this shape, where a speed is asked for.
        """
        if settings.sparsity is not None:
            return cls(ParameterCost(shape), settings.sparsity)
        assert table is not None, "a table gives the speed"
        cost, seconds = LatencyCost(table), settings.seconds
        speedup = settings.speedup if seconds is None else cost.dense / seconds
        assert speedup is not None, "the configuration has a target"
        return cls(cost, 1 - 1 / speedup, speedup, seconds, table)

    def sizes(self, settings: PruneConfig) -> tuple[Target, ...]:
        """Return the targets of all sizes that a run makes, the largest model first."""
        return (*(self._of_size(size) for size in settings.larger), self)

    def _of_size(self, size: float) -> Target:
        """Return the same with another sparsity, speedup or number of seconds."""
        if self.speedup is None:
            return replace(self, reduction=size)
        seconds = None if self.seconds is None else size
        speedup = size if seconds is None else self.cost.dense / seconds
        return replace(self, reduction=1 - 1 / speedup, speedup=speedup, seconds=seconds)

    @property
    def name(self) -> str:
        """Name of the size: ``0.95``, ``8x``, ``5ms``."""
        if self.seconds is not None:
            return f"{1e3 * self.seconds:g}ms"
        return f"{self.reduction:g}" if self.speedup is None else f"{self.speedup:g}x"

    @property
    def asked(self) -> str:
        """The speed that was asked for: ``8 times``, ``5 ms``."""
        return f"{self.speedup:g} times" if self.seconds is None else f"{1e3 * self.seconds:g} ms"

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

    def report(
        self, plan: PrunePlan, measured: Sequence[MeasuredPlan] = ()
    ) -> LatencyTarget | None:
        """Return what a report says of a speed that was asked for, ``None`` where none was.

        Args:
            measured: what was measured of it and of plans before it, the model's own last.
        """
        if self.table is None:
            return None
        return LatencyTarget(
            speedup=None if self.seconds is not None else self.speedup,
            seconds=self.seconds,
            expected_speedup=as_speedup(self.reached(plan)),
            dense_seconds=self.cost.dense,
            expected_seconds=self.cost.exact(plan.widths),
            measured=measured[-1] if measured else None,
            tried=list(measured),
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
