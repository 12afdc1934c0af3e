"""Prunable weights as the cost; its reduction is sparsity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from cofi_cli.modeling import Masks
from cofi_cli.pruning.shape import EncoderShape, Widths
from cofi_cli.pruning.sparsity import size

_SLACK = 1e-6
"""Weights by which a budget is raised against rounding errors of its target."""


@dataclass(frozen=True)
class ParameterCost:
    """The size polynomial (:func:`~cofi_cli.pruning.sparsity.size`) as a cost, in weights."""

    shape: EncoderShape
    has_overhead: ClassVar[bool] = False

    @property
    def dense(self) -> float:
        """M, the prunable weights of the dense encoder."""
        return self.shape.prunable

    def expected(self, p_open: Masks) -> Tensor:
        """Return the expected number of weights, a scalar with gradients."""
        return size(p_open, self.shape)

    def exact(self, widths: Widths) -> float:
        """Return the weights of an encoder of these widths."""
        return self.shape.weights(widths)

    def sub_layer(self, group: str, units: int, hidden: int) -> float:
        """Return the weights of one sub-layer."""
        if group == "head":
            return self.shape.attention_weights(units, hidden)
        return self.shape.ffn_weights(units, hidden)

    def one_more(self, group: str, units: int, hidden: int) -> float:
        """Return the weights of a unit; the bias behind all of them counts as there."""
        unit: int = (self.shape.per_head if group == "head" else self.shape.per_dim)(hidden)
        return unit

    def budget(self, target: float) -> float:
        """Return the most weights that meet a sparsity, a whole number."""
        return int(self.shape.prunable * (1 - target) + _SLACK)
