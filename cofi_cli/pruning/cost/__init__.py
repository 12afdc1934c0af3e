"""What pruning saves, as one protocol; weights are the first cost."""

from __future__ import annotations

from cofi_cli.pruning.cost.cost import Cost, reachable, reduction
from cofi_cli.pruning.cost.parameters import ParameterCost

__all__ = ["Cost", "ParameterCost", "reachable", "reduction"]
