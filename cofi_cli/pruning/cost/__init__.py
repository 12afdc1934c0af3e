"""What pruning saves: weights, or seconds by a table; one protocol for both."""

from __future__ import annotations

from cofi_cli.pruning.cost.cost import Cost, reachable, reduction
from cofi_cli.pruning.cost.latency import LatencyCost
from cofi_cli.pruning.cost.parameters import ParameterCost
from cofi_cli.pruning.cost.table import LatencyTable, read_table
