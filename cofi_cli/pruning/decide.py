"""Who makes the plan: from gate probabilities to kept units that realise a target."""

from __future__ import annotations

import torch
from torch import Tensor

from cofi_cli.pruning.draft import Draft, kept
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.rounding import nearest_width, round_ffn, top


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
        target: the realised reduction of the gates' cost to meet, from above; ``None`` leaves
            the rounding error in, as the reference does.
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
    draft = Draft(gates.cost, head, attention, dim, ffn, hidden, learned=gates.learned)
    if multiple > 1 and "hidden" in gates.learned:
        width = nearest_width(int(hidden.sum()), shape.hidden, multiple)
        draft.hidden = top(alphas["hidden"], width)
    if target is not None:
        draft.meet(target, alphas, multiple)
    if multiple > 1 and "ffn_dim" in gates.learned:
        budget = None if target is None else gates.cost.budget(target)
        round_ffn(
            draft.dim,
            draft.ffn,
            alphas["ffn_dim"],
            multiple=multiple,
            cost=draft.price,
            budget=budget,
        )
    values = None
    if soft:
        soft_masks = gates.soft_values()
        values = {k: getattr(soft_masks, k).detach().tolist() for k in alphas}
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[kept(h) if a else [] for h, a in zip(draft.head, draft.attention)],
        ffn=[kept(i) if f else [] for i, f in zip(draft.dim, draft.ffn)],
        hidden=kept(draft.hidden),
        values=values,
    )


def _top(alpha: Tensor, probability: Tensor) -> Tensor:
    """Mark the round(Σq) largest entries of one group."""
    return top(alpha, round(float(probability.sum())))
