"""How much each head and FFN dim matters to the answers, without training (post-training pruning).

The empirical Fisher information of masks after Kwon et al. (2022), section 4.1, with the squared
error of the answers in the place of a loss: no label is needed, whatever the kind of task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.pruning.cost import Cost
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.shape import EncoderShape, Widths

Scores = Mapping[str, Tensor]
"""Importance of ``head``, (L, H), and ``ffn_dim``, (L, I)."""


def importance(
    model: CofiForTask, batches: Iterable[Mapping[str, Tensor]], *, generator: torch.Generator
) -> Scores:
    """Return s = Σ_x ‖∂y(x)/∂z‖² of the mask z of each head and FFN dim, at z = 1.

    y are the answers (logits, or an embedding). With ε ~ N(0, I) for each row
    E[(∂⟨ε, y⟩/∂z)²] is that sum over the rows of a batch: one backward pass a batch.

    Args:
        model: dense and fine-tuned, in evaluation mode.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids``, (B, T), on its device.
        generator: of ε.
    """
    shape = EncoderShape.of(model.config)
    scores = {
        "head": torch.zeros(shape.n_layers, shape.n_heads),
        "ffn_dim": torch.zeros(shape.n_layers, shape.ffn),
    }
    for batch in batches:
        own = {name: torch.ones_like(score, requires_grad=True) for name, score in scores.items()}
        layers = torch.ones(shape.n_layers)
        masks = Masks(**own, attention=layers, ffn=layers.clone(), hidden=torch.ones(shape.hidden))
        inputs: dict[str, Any] = dict(batch)
        answers = model.run(**inputs, masks=masks).logits.float()
        noise = torch.randn(answers.shape, generator=generator).to(answers.device)
        if model.per_token:
            noise = noise * batch["attention_mask"].unsqueeze(-1)
        gradients = torch.autograd.grad((answers * noise).sum(), list(own.values()))
        for score, gradient in zip(scores.values(), gradients):
            score += gradient.square()
    return scores


def most_important(scores: Scores, cost: Cost, reduction: float) -> PrunePlan:
    """Return the plan that keeps the units with most importance for their cost.

    Units are taken in that order as long as the budget holds them; hidden dims all stay. Where a
    sub-layer costs something beyond its units, it is left out if its room is worth more to others.

    Args:
        scores: of :func:`importance`.
        cost: that the plan has to meet.
        reduction: of it.
    """
    shape, budget = cost.shape, cost.budget(reduction)
    units = _ranked(scores, cost)
    kept = _filled(units, cost, budget)
    if cost.has_overhead:
        parts = {unit.sub_layer for unit in kept}
        by_worth = sorted(parts, key=lambda part: _worth(u for u in kept if u.sub_layer == part))
        for part in by_worth:
            others = [unit for unit in units if unit.sub_layer != part]
            if _worth(other := _filled(others, cost, budget)) > _worth(kept):
                units, kept = others, other
    chosen: dict[str, list[list[int]]] = {
        group: [[] for _ in range(shape.n_layers)] for group in scores
    }
    for unit in kept:
        chosen[unit.group][unit.layer].append(unit.index)
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[sorted(indices) for indices in chosen["head"]],
        ffn=[sorted(indices) for indices in chosen["ffn_dim"]],
        hidden=list(range(shape.hidden)),
    )


class _Unit(NamedTuple):
    density: float
    score: float
    group: str
    layer: int
    index: int

    @property
    def sub_layer(self) -> tuple[str, int]:
        return self.group, self.layer


def _ranked(scores: Scores, cost: Cost) -> list[_Unit]:
    """Return all units, those with most importance for their mean price first."""
    hidden = cost.shape.hidden
    units = []
    for group, own in scores.items():
        price = cost.sub_layer(group, own.shape[1], hidden) / own.shape[1]
        units += [
            _Unit(score / price, score, group, layer, index)
            for layer, row in enumerate(own.tolist())
            for index, score in enumerate(row)
        ]
    return sorted(units, key=lambda unit: -unit.density)


def _filled(units: Iterable[_Unit], cost: Cost, budget: float) -> list[_Unit]:
    """Return the units that the budget holds, taken in their order."""
    shape = cost.shape
    none = (0,) * shape.n_layers
    spent = cost.exact(Widths(none, none, shape.hidden))
    counts: Counter[tuple[str, int]] = Counter()
    kept = []
    for unit in units:
        count = counts[unit.sub_layer]
        price = cost.sub_layer(unit.group, count + 1, shape.hidden)
        price -= cost.sub_layer(unit.group, count, shape.hidden)
        if spent + price <= budget:
            spent += price
            counts[unit.sub_layer] += 1
            kept.append(unit)
    return kept


def _worth(units: Iterable[_Unit]) -> float:
    return sum(unit.score for unit in units)
