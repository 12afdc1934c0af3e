"""Seconds of a forward pass as the cost, by a table that was measured."""

from __future__ import annotations

import torch
from torch import Tensor

from cofi_cli.modeling import Masks
from cofi_cli.pruning.cost.table import LatencyTable
from cofi_cli.pruning.shape import Widths

_SLACK = 1e-9
"""Share by which a budget is raised against rounding errors."""
_TINY = 1e-300
"""Below every probability that is not 0; keeps 0 / 0 out."""


class LatencyCost:
    """The expected and exact latency of an encoder, in seconds.

    With independent gates open with the given probabilities q, K = Σ_k q_hid,k and P_l the
    distribution of the number of open heads (Poisson-binomial):

        E = T₀ + Σ_l q_att,l · Σ_{h ≥ 1} P_l(h) · A(h, K)
               + Σ_l q_ffn,l · P(any dim) · F(Σ_i q_dim,li / P(any dim), K)

    A is the table's attention by heads, F its FFN, linear between its widths; both are linear
    between its hidden widths, and stay below the smallest as they are there. The heads are
    exact at a given K; the FFN's width and K are taken at their means, of which a spread of 20
    dims in 1,536 changes next to nothing. With 0 and 1 for probabilities all of it is exact.

    E rises with every q: A and F rise with units and K by the table's checks, and of
    a·F(W / a) the part F / a outweighs its loss: (1 + S)·Π(1 - q) ≤ (1 + S)·exp(-S) ≤ 1, S the
    sum of the other dims' q.

    Args:
        table: checked, of the encoder's shape.
    """

    has_overhead = True

    def __init__(self, table: LatencyTable) -> None:
        self.table, self.shape = table, table.shape
        self._hidden = torch.tensor(table.hidden, dtype=torch.float64)
        self._widths = torch.tensor(table.ffn_widths, dtype=torch.float64)
        heads = torch.tensor(table.attention_seconds, dtype=torch.float64)
        self._attention = torch.cat([torch.zeros(len(heads), 1, dtype=heads.dtype), heads], dim=1)
        self._ffn = torch.tensor(table.ffn_seconds, dtype=torch.float64)
        self._known: dict[int, tuple[list[float], list[float]]] = {}
        layers = self.shape.n_layers
        whole = (self.shape.n_heads,) * layers, (self.shape.ffn,) * layers
        self.dense = self.exact(Widths(*whole, self.shape.hidden))

    def expected(self, p_open: Masks) -> Tensor:
        """Return the expected seconds, a scalar with gradients."""
        head, dim = p_open.head.double(), p_open.ffn_dim.double()
        hidden = p_open.hidden.double().sum()
        attention = open_units(head) @ self._attention_at(hidden)
        any_dim = 1 - (1 - dim).prod(-1)
        mean = dim.sum(-1) / any_dim.clamp_min(_TINY)
        ffn = any_dim * interpolate(mean, self._widths, self._ffn_at(hidden))
        total = (p_open.attention.double() * attention).sum() + (p_open.ffn.double() * ffn).sum()
        return (self.table.fixed_seconds + total).to(p_open.hidden.dtype)

    def exact(self, widths: Widths) -> float:
        """Return the seconds of an encoder of these widths."""
        attention, ffn = self._sub_layers(widths.hidden)
        layers = zip(widths.heads, widths.ffn)
        return self.table.fixed_seconds + sum(attention[h] + ffn[w] for h, w in layers)

    def sub_layer(self, group: str, units: int, hidden: int) -> float:
        """Return the seconds of one sub-layer."""
        attention, ffn = self._sub_layers(hidden)
        return attention[units] if group == "head" else ffn[units]

    def one_more(self, group: str, units: int, hidden: int) -> float:
        """Return the seconds that one more unit takes; the first takes those of its sub-layer."""
        after = self.sub_layer(group, units + 1, hidden)
        return after - self.sub_layer(group, units, hidden)

    def budget(self, target: float) -> float:
        """Return the most seconds that meet a reduction."""
        return self.dense * (1 - target) * (1 + _SLACK)

    def _attention_at(self, hidden: Tensor) -> Tensor:
        """Return A at a hidden width, (H + 1,)."""
        return interpolate(hidden, self._hidden, self._attention)

    def _ffn_at(self, hidden: Tensor) -> Tensor:
        """Return F at a hidden width, (widths of the table,)."""
        return interpolate(hidden, self._hidden, self._ffn)

    def _sub_layers(self, hidden: int) -> tuple[list[float], list[float]]:
        """Return the seconds of attention by heads, and of an FFN by dims, from 0 of them on."""
        if hidden not in self._known:
            width = torch.tensor(float(hidden), dtype=torch.float64)
            dims = torch.arange(self.shape.ffn + 1, dtype=torch.float64)
            ffn = interpolate(dims, self._widths, self._ffn_at(width))
            ffn[0] = 0.0
            self._known[hidden] = self._attention_at(width).tolist(), ffn.tolist()
        return self._known[hidden]


def open_units(p_open: Tensor) -> Tensor:
    """Return the distribution of the number of open units (Poisson-binomial).

    Args:
        p_open: (L, n) probabilities of independent gates.

    Returns:
        (L, n + 1): P(k units are open), k = 0 ... n; by one convolution a unit.
    """
    layers, n = p_open.shape
    counts = torch.cat([p_open.new_ones(layers, 1), p_open.new_zeros(layers, n)], dim=1)
    for unit in range(n):
        q = p_open[:, unit : unit + 1]
        counts = counts * (1 - q) + torch.nn.functional.pad(counts[:, :-1], (1, 0)) * q
    return counts


def interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Return values at x, linear between knots and constant outside them, with gradients.

    Args:
        x: any shape.
        knots: (n,), ascending, n ≥ 2.
        values: (n, ...) at the knots.

    Returns:
        The shape of x, followed by the other dimensions of ``values``.
    """
    x = x.clamp(float(knots[0]), float(knots[-1]))
    above = torch.searchsorted(knots, x.detach().contiguous(), right=True)
    above = above.clamp(1, len(knots) - 1)
    low, high = knots[above - 1], knots[above]
    share = ((x - low) / (high - low)).reshape(x.shape + (1,) * (values.dim() - 1))
    return values[above - 1] + share * (values[above] - values[above - 1])
