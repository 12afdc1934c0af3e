"""How much each head and FFN dim matters to the answers, without training (post-training pruning).

The empirical Fisher information of masks after Kwon et al. (2022), section 4.1, with the squared
error of the answers in the place of a loss: no label is needed, whatever the kind of task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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

    Units are taken in that order as long as the budget holds them; hidden dims all stay.

    Args:
        scores: of :func:`importance`.
        cost: that the plan has to meet.
        reduction: of it.
    """
    shape, budget = cost.shape, cost.budget(reduction)
    sizes = {"head": shape.n_heads, "ffn_dim": shape.ffn}
    ranked: list[tuple[float, str, int, int]] = []
    for group, size in sizes.items():
        price = cost.sub_layer(group, size, shape.hidden) / size
        density = (scores[group] / price).tolist()
        ranked += [
            (own, group, layer, unit)
            for layer, units in enumerate(density)
            for unit, own in enumerate(units)
        ]
    ranked.sort(key=lambda unit: -unit[0])
    kept: dict[str, list[list[int]]] = {g: [[] for _ in range(shape.n_layers)] for g in sizes}
    spent = cost.exact(_widths(kept, shape))
    for _, group, layer, unit in ranked:
        units = kept[group][layer]
        price = cost.sub_layer(group, len(units) + 1, shape.hidden)
        price -= cost.sub_layer(group, len(units), shape.hidden)
        if spent + price <= budget:
            units.append(unit)
            spent += price
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[sorted(units) for units in kept["head"]],
        ffn=[sorted(units) for units in kept["ffn_dim"]],
        hidden=list(range(shape.hidden)),
    )


def _widths(kept: Mapping[str, list[list[int]]], shape: EncoderShape) -> Widths:
    heads, ffn = (tuple(map(len, kept[group])) for group in ("head", "ffn_dim"))
    return Widths(heads, ffn, shape.hidden)
