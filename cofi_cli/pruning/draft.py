"""A plan under correction: units are removed or restored until its cost meets the target."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from torch import Tensor

from cofi_cli.pruning.cost import Cost
from cofi_cli.pruning.rounding import keep_most, top
from cofi_cli.pruning.shape import Widths


def kept(flags: Tensor) -> list[int]:
    """Return the places of what is marked, ascending."""
    indices: list[int] = flags.nonzero().flatten().tolist()
    return indices


class Draft:
    """A plan under correction.

    Args:
        cost: that the plan has to meet.
        head, attention, dim, ffn, hidden: boolean gates, (L, H), (L,), (L, I), (L,), (d,).
        learned: groups that may be corrected.
    """

    def __init__(
        self,
        cost: Cost,
        head: Tensor,
        attention: Tensor,
        dim: Tensor,
        ffn: Tensor,
        hidden: Tensor,
        *,
        learned: Sequence[str],
    ) -> None:
        self.cost, self.shape, self.learned = cost, cost.shape, learned
        self.head, self.attention, self.dim, self.ffn = head, attention, dim, ffn
        self.hidden = hidden

    def price(self) -> float:
        """Return the cost of the draft, exactly."""
        heads = (self.head & self.attention[:, None]).sum(-1).tolist()
        dims = (self.dim & self.ffn[:, None]).sum(-1).tolist()
        return self.cost.exact(Widths(tuple(heads), tuple(dims), int(self.hidden.sum())))

    def meet(self, target: float, alphas: dict[str, Tensor], multiple: int) -> None:
        """Correct the draft so that its cost is the largest that meets the target.

        Only learned groups are touched; of the others the gates say nothing.
        """
        budget = self.cost.budget(target)
        for _ in range(4 * self.shape.n_layers):
            self._fit_units(alphas, budget, multiple)
            if not self._switch_layer(budget, alphas):
                break
        else:
            self._fit_units(alphas, budget, multiple)
        if "hidden" in self.learned and self.price() > budget:
            self._fit_hidden(alphas["hidden"], budget, multiple)
            self._fit_units(alphas, budget, multiple)

    def _fit_units(self, alphas: dict[str, Tensor], budget: float, multiple: int) -> None:
        fine = [name for name in ("ffn_dim", "head", "ffn_dim") if name in self.learned]
        for name in fine:
            units, layers = self._pair(name)
            self._fit(units, layers, alphas[name], budget)
        if "hidden" in self.learned and not fine:
            self._fit_hidden(alphas["hidden"], budget, multiple)

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return (self.dim, self.ffn) if name == "ffn_dim" else (self.head, self.attention)

    def _fit(self, fine: Tensor, coarse: Tensor, alpha: Tensor, budget: float) -> None:
        """Remove or restore fine units of the open layers, in the order of their α."""
        if not coarse.any():
            return
        keep_most(fine, coarse[:, None].expand_as(fine), alpha, cost=self.price, budget=budget)
        if self.cost.has_overhead:
            # What is too little for the next unit's own sub-layer is enough for units of others.
            begun = coarse & fine.any(-1)
            keep_most(fine, begun[:, None] & ~fine, alpha, cost=self.price, budget=budget)

    def _fit_hidden(self, alpha: Tensor, budget: float, multiple: int) -> None:
        """Keep as many hidden dims as the budget allows, one multiple at least."""
        widths = [*range(multiple, self.shape.hidden, multiple), self.shape.hidden]

        def keep(width: int) -> float:
            self.hidden = top(alpha, width)
            return self.price()

        keep(widths[max(bisect_right(widths, budget, key=keep) - 1, 0)])

    def _switch_layer(self, budget: float, alphas: dict[str, Tensor]) -> bool:
        """Where fine units were used up, close the weakest sub-layer or open the strongest.

        One is opened when no unit of the open ones fits any more, and at least one of its own does.
        """
        groups = [
            (fine, self._pair(fine)[1], alphas[name])
            for fine, name in (("head", "attention"), ("ffn_dim", "ffn"))
            if name in self.learned
        ]
        room = budget - self.price()
        if room < 0:
            live = [(float(a[i]), g, i) for _, g, a in groups for i in kept(g)]
            if not live:
                return False
            _, group, index = min(live, key=lambda item: item[0])
            group[index] = False
            return True
        if any(self._grows(fine, room) for fine in ("head", "ffn_dim")):
            return False
        closed = [(float(a[i]), fine, g, i) for fine, g, a in groups for i in kept(~g)]
        for _, fine, group, index in sorted(closed, key=lambda item: -item[0]):
            first = self.cost.sub_layer(fine, 1, int(self.hidden.sum()))
            group[index] = True
            if self.price() <= budget or (fine in self.learned and first <= room):
                return True  # units that do not fit make room
            group[index] = False
        return False

    def _grows(self, fine: str, room: float) -> bool:
        """Whether a unit of an open sub-layer is removed, and would fit."""
        units, layers = self._pair(fine)
        counts, hidden = units[layers].sum(-1).tolist(), int(self.hidden.sum())
        prices = [self.cost.one_more(fine, n, hidden) for n in counts if n < units.shape[1]]
        return bool(prices) and min(prices) <= room
