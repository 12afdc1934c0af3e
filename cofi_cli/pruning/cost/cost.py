"""What a target is stated in: the protocol that gates, plans, checks and reports speak."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from cofi_cli.modeling import Masks
from cofi_cli.pruning.shape import EncoderShape, Widths


class Cost(Protocol):
    """A cost of an encoder that falls with each unit that is removed.

    At probabilities of 0 and 1 the expected cost is the exact one. A *reduction* is
    1 - cost / dense, in [0, 1).
    """

    @property
    def shape(self) -> EncoderShape:
        """The dense encoder's shape."""

    @property
    def dense(self) -> float:
        """Cost of the dense encoder."""

    @property
    def has_overhead(self) -> bool:
        """Whether a sub-layer's first unit costs far more than another one."""

    def expected(self, p_open: Masks) -> Tensor:
        """Return the expected cost, a scalar with gradients.

        Args:
            p_open: P(z > 0) of independent gates; shapes as in :class:`Masks`.
        """

    def exact(self, widths: Widths) -> float:
        """Return the cost of an encoder of these widths."""

    def sub_layer(self, group: str, units: int, hidden: int) -> float:
        """Return the cost of one sub-layer; 0 where it has no unit.

        Args:
            group: ``head`` (attention) or ``ffn_dim`` (FFN).
            units: heads, or FFN dims.
            hidden: kept hidden dims.
        """

    def one_more(self, group: str, units: int, hidden: int) -> float:
        """Return the price of one more unit in an open sub-layer, given its present units."""

    def budget(self, target: float) -> float:
        """Return the most that a plan may cost for a reduction; rounding errors are allowed for."""


def reduction(cost: Cost, widths: Widths) -> float:
    """Return the share of the dense cost that an encoder of these widths saves."""
    return 1 - cost.exact(widths) / cost.dense


def reachable(cost: Cost, groups: Iterable[str], multiple: int = 1) -> float:
    """Return the largest reduction where only these groups of gates are learned.

    Args:
        cost: of the encoder.
        groups: that are learned.
        multiple: hidden and FFN widths are multiples of it, or whole.
    """
    return max(reduction(cost, widths) for widths in cost.shape.smallest(groups, multiple))
