"""The pruning plan: which units are kept, decided once, saved, replayed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from cofi_cli.modeling import Masks
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.rounding import nearest_width, round_ffn, top
from cofi_cli.pruning.sparsity import EncoderShape, size


class PrunePlan(BaseModel):
    """Kept units of every layer, and the gate values to fold where they are soft.

    Attributes:
        shape: the dense shape, as :meth:`EncoderShape.as_dict` gives it.
        heads: kept heads of each layer, ascending; empty = sub-layer removed.
        ffn: kept FFN dims of each layer; empty = sub-layer removed.
        hidden: kept hidden dims.
        values: soft gate values by group, dense shapes; ``None`` = all 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: dict[str, int]
    heads: list[list[int]]
    ffn: list[list[int]]
    hidden: list[int]
    values: dict[str, Any] | None = None

    @property
    def encoder_shape(self) -> EncoderShape:
        """Return the dense shape."""
        return EncoderShape(**self.shape)

    def masks(self) -> Masks:
        """Return the gate values of the plan: 0 where removed, else 1 or the soft value."""
        shape = self.encoder_shape
        head = torch.zeros(shape.n_layers, shape.n_heads)
        dim = torch.zeros(shape.n_layers, shape.ffn)
        for layer, (heads, dims) in enumerate(zip(self.heads, self.ffn)):
            head[layer, heads] = 1.0
            dim[layer, dims] = 1.0
        hidden = torch.zeros(shape.hidden)
        hidden[self.hidden] = 1.0
        masks = {
            "head": head,
            "attention": head.any(-1).float(),
            "ffn_dim": dim,
            "ffn": dim.any(-1).float(),
            "hidden": hidden,
        }
        if self.values is not None:
            masks = {k: v * torch.tensor(self.values[k]) for k, v in masks.items()}
        return Masks(**masks)

    @property
    def kept_size(self) -> int:
        """Prunable weights that the compact model will have."""
        masks = self.masks()
        hard = {k: (getattr(masks, k) > 0).double() for k in masks.__dataclass_fields__}
        return round(size(Masks(**hard), self.encoder_shape).item())

    @property
    def sparsity(self) -> float:
        """Removed / prunable."""
        return 1 - self.kept_size / self.encoder_shape.prunable

    def summary(self) -> dict[str, Any]:
        """Return widths per layer, for reports."""
        return {
            "heads": [len(h) for h in self.heads],
            "ffn": [len(f) for f in self.ffn],
            "hidden": len(self.hidden),
            "of": {
                "heads": self.shape["n_heads"],
                "ffn": self.shape["ffn"],
                "hidden": self.shape["hidden"],
            },
        }


def everything(shape: EncoderShape) -> PrunePlan:
    """Return the plan that removes nothing."""
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[list(range(shape.n_heads))] * shape.n_layers,
        ffn=[list(range(shape.ffn))] * shape.n_layers,
        hidden=list(range(shape.hidden)),
    )


def decide(
    gates: Gates, target: float | None, *, soft: bool = False, multiple: int = 1
) -> PrunePlan:
    """Turn gate probabilities into a plan that realises the target.

    A layer is kept where q ≥ 1/2; of the heads, FFN dims and hidden dims the
    ``round(Σq)`` with the largest α. Rounding leaves an error of a point or two,
    which the finest unit absorbs: FFN dims are removed or restored across layers
    in the order of their α, then, only if those are used up, heads, then layers.
    Groups that are not learned stay whole. Without FFN dims and heads hidden dims absorb it;
    beside them they do only where all else is closed and not enough. Coarse units alone
    cannot meet every target: the plan then removes more, by as little as their order allows.

    Args:
        gates: after the optimiser step.
        target: the realised sparsity to meet, from above; ``None`` leaves the
            rounding error in, as the reference does.
        soft: carry the soft values of the kept gates.
        multiple: hidden and FFN widths are multiples of it; heads are whole anyway.
    """
    shape = gates.shape
    with torch.no_grad():
        p_open = gates.p_open()
        alphas = {name: alpha.detach() for name, alpha in gates.named_parameters()}
    hidden = top(alphas["hidden"], max(1, round(float(p_open.hidden.sum()))))
    attention, ffn = p_open.attention >= 0.5, p_open.ffn >= 0.5
    head = torch.stack([_top(a, p) for a, p in zip(alphas["head"], p_open.head)])
    dim = torch.stack([_top(a, p) for a, p in zip(alphas["ffn_dim"], p_open.ffn_dim)])
    draft = _Draft(shape, head, attention, dim, ffn, hidden, learned=gates.learned)
    if multiple > 1 and "hidden" in gates.learned:
        width = nearest_width(int(hidden.sum()), shape.hidden, multiple)
        draft.hidden = top(alphas["hidden"], width)
    if target is not None:
        draft.meet(target, alphas, multiple)
    if multiple > 1 and "ffn_dim" in gates.learned:
        budget = None if target is None else draft.budget(target)
        round_ffn(
            draft.dim,
            draft.ffn,
            alphas["ffn_dim"],
            multiple=multiple,
            size=draft.size,
            budget=budget,
        )
    values = None
    if soft:
        soft_masks = gates.soft_values()
        values = {k: getattr(soft_masks, k).detach().tolist() for k in alphas}
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[_kept(h) if a else [] for h, a in zip(draft.head, draft.attention)],
        ffn=[_kept(i) if f else [] for i, f in zip(draft.dim, draft.ffn)],
        hidden=_kept(draft.hidden),
        values=values,
    )


def _top(alpha: Tensor, probability: Tensor) -> Tensor:
    """Mark the round(Σq) largest entries of one group."""
    return top(alpha, round(float(probability.sum())))


def _kept(flags: Tensor) -> list[int]:
    indices: list[int] = flags.nonzero().flatten().tolist()
    return indices


class _Draft:
    """A plan under correction: boolean gates, dense shapes."""

    def __init__(
        self,
        shape: EncoderShape,
        head: Tensor,
        attention: Tensor,
        dim: Tensor,
        ffn: Tensor,
        hidden: Tensor,
        *,
        learned: Sequence[str],
    ) -> None:
        self.shape, self.learned = shape, learned
        self.head, self.attention, self.dim, self.ffn = head, attention, dim, ffn
        self.hidden = hidden

    def size(self) -> int:
        """Return the prunable weights of the draft, exactly."""
        gates = (self.head, self.attention, self.dim, self.ffn, self.hidden)
        return round(size(Masks(*(g.double() for g in gates)), self.shape).item())

    def budget(self, target: float) -> int:
        """Return the most prunable weights that meet the target."""
        return int(self.shape.prunable * (1 - target) + 1e-6)

    def meet(self, target: float, alphas: dict[str, Tensor], multiple: int) -> None:
        """Correct the draft so that its size is the largest that meets the target.

        Only learned groups are touched; of the others the gates say nothing.
        """
        budget = self.budget(target)
        for _ in range(4 * self.shape.n_layers):
            self._fit_units(alphas, budget, multiple)
            if not self._switch_layer(budget, alphas):
                break
        else:
            self._fit_units(alphas, budget, multiple)
        if "hidden" in self.learned and self.size() > budget:
            self._fit_hidden(alphas["hidden"], budget, multiple)
            self._fit_units(alphas, budget, multiple)

    def _fit_units(self, alphas: dict[str, Tensor], budget: int, multiple: int) -> None:
        fine = [name for name in ("ffn_dim", "head", "ffn_dim") if name in self.learned]
        for name in fine:
            units, layers = self._pair(name)
            self._fit(units, layers, alphas[name], budget)
        if "hidden" in self.learned and not fine:
            self._fit_hidden(alphas["hidden"], budget, multiple)

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return (self.dim, self.ffn) if name == "ffn_dim" else (self.head, self.attention)

    def _fit(self, fine: Tensor, coarse: Tensor, alpha: Tensor, budget: int) -> None:
        """Remove or restore fine units of the open layers, one bisection over their order."""
        if not coarse.any():
            return
        live = coarse[:, None].expand_as(fine)
        # Kept before removed at equal α, so that a fit that is met changes nothing.
        order = torch.argsort((alpha + fine.float() * 1e-3)[live], descending=True, stable=True)
        n_live, was = order.numel(), fine.clone()
        low, high = 0, n_live

        def keep(count: int) -> int:
            flags = torch.zeros(n_live, dtype=torch.bool)
            flags[order[:count]] = True
            fine[live] = flags
            return self.size()

        if self.size() <= budget and bool(was[live].all()):
            return
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if keep(middle) <= budget else (low, middle - 1)
        keep(low)

    def _fit_hidden(self, alpha: Tensor, budget: int, multiple: int) -> None:
        """Keep as many hidden dims as the budget allows, one multiple at least."""
        widths = [*range(multiple, self.shape.hidden, multiple), self.shape.hidden]

        def keep(width: int) -> int:
            self.hidden = top(alpha, width)
            return self.size()

        keep(widths[max(bisect_right(widths, budget, key=keep) - 1, 0)])

    def _switch_layer(self, budget: int, alphas: dict[str, Tensor]) -> bool:
        """Where fine units were used up, close the weakest sub-layer or open the strongest.

        One is opened when no unit of the open ones fits any more, and at least one of its own does.
        """
        groups = [
            (fine, self._pair(fine)[1], alphas[name])
            for fine, name in (("head", "attention"), ("ffn_dim", "ffn"))
            if name in self.learned
        ]
        room = budget - self.size()
        if room < 0:
            live = [(float(a[i]), g, i) for _, g, a in groups for i in _kept(g)]
            if not live:
                return False
            _, group, index = min(live, key=lambda item: item[0])
            group[index] = False
            return True
        if any(self._grows(fine, room) for fine in ("head", "ffn_dim")):
            return False
        closed = [(float(a[i]), fine, g, i) for fine, g, a in groups for i in _kept(~g)]
        for _, fine, group, index in sorted(closed, key=lambda item: -item[0]):
            unit, bias = self._costs(fine)
            group[index] = True
            if self.size() <= budget or (fine in self.learned and unit + bias <= room):
                return True  # units that do not fit make room
            group[index] = False
        return False

    def _grows(self, fine: str, room: int) -> bool:
        """Whether a unit of an open sub-layer is removed, and would fit."""
        units, layers = self._pair(fine)
        return not bool(units[layers].all()) and self._costs(fine)[0] <= room

    def _costs(self, fine: str) -> tuple[int, int]:
        """Return the weights of a unit, and of the bias behind all units of a sub-layer."""
        shape, width = self.shape, int(self.hidden.sum())
        if fine == "head":
            return shape.per_head(width), shape.attention_bias * width
        return shape.per_dim(width), shape.ffn_bias * width
