"""Pruning without training: importance, the plan that it makes, least squares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.cost import LatencyCost, ParameterCost
from cofi_cli.pruning.importance import importance, most_important
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.refit import refit
from cofi_cli.pruning.shape import EncoderShape
from tests.architectures import TINY, inputs_of, save
from tests.latency_tables import made_up_table
from tests.tiny import SHAPE

Batch = dict[str, torch.Tensor]


def model_of(folder: Path, name: str = "bert", head: str = "sequence") -> CofiForTask:
    return load_model(str(save(folder, name, head))).eval()


def random_plan(shape: EncoderShape) -> PrunePlan:
    scores = {
        "head": torch.rand(shape.n_layers, shape.n_heads),
        "ffn_dim": torch.rand(shape.n_layers, shape.ffn),
    }
    return most_important(scores, ParameterCost(shape), 0.5)


def squared_error(small: CofiForTask, dense: CofiForTask, batch: Batch) -> float:
    """Return the squared error of the last states at real positions."""
    keep = batch["attention_mask"].bool()
    with torch.no_grad():
        ours, theirs = (m.run(**batch).states[-1][keep] for m in (small, dense))
    return float((ours - theirs).square().mean())


def test_importance_is_the_squared_jacobian(tmp_path: Path) -> None:
    model, batch = model_of(tmp_path), inputs_of("bert")
    shape, draws = EncoderShape.of(model.config), 400
    found = importance(model, [batch] * draws, generator=torch.Generator().manual_seed(0))
    head = torch.ones(shape.n_layers, shape.n_heads, requires_grad=True)
    ones = torch.ones(shape.n_layers)
    masks = Masks(head, ones, torch.ones(shape.n_layers, shape.ffn), ones, torch.ones(shape.hidden))
    exact = torch.zeros_like(head)
    answers = model.run(**batch, masks=masks).logits
    for answer in answers.flatten():
        exact += torch.autograd.grad(answer, head, retain_graph=True)[0].square()
    torch.testing.assert_close(found["head"] / draws, exact, rtol=0.35, atol=0.02)


def test_a_unit_that_nothing_reads_goes_first(tmp_path: Path) -> None:
    model, batch = model_of(tmp_path), inputs_of("bert")
    shape = EncoderShape.of(model.config)
    attention = model.model.encoder.layers[0].attention
    with torch.no_grad():
        attention.output.weight[:, : shape.head_dim] = 0
    scores = importance(model, [batch], generator=torch.Generator().manual_seed(0))
    assert scores["head"][0, 0] == 0 and (scores["head"] > 0).sum() == scores["head"].numel() - 1
    plan = most_important(scores, ParameterCost(shape), 1.5 * shape.per_head(1) / shape.prunable)
    assert 0 not in plan.heads[0]


@pytest.mark.parametrize("target", (0.1, 0.5, 0.9))
def test_a_plan_meets_its_target_by_less_than_an_ffn_dim(target: float) -> None:
    shape = EncoderShape(n_layers=3, n_heads=4, head_dim=4, ffn=24, hidden=16)
    torch.manual_seed(0)
    scores = {"head": torch.rand(3, 4), "ffn_dim": torch.rand(3, 24)}
    plan = most_important(scores, ParameterCost(shape), target)
    room = 2 * (shape.per_dim(16) + 16) / shape.prunable
    assert target <= plan.sparsity <= target + room
    assert plan.hidden == list(range(16)) and all(d == sorted(d) for d in plan.ffn)


@pytest.mark.parametrize("name", TINY)
def test_least_squares_brings_every_architecture_closer(name: str, tmp_path: Path) -> None:
    dense, batch = model_of(tmp_path, name), inputs_of(name)
    torch.manual_seed(5)
    small = compact(dense, random_plan(EncoderShape.of(dense.config))).eval()
    before = squared_error(small, dense, batch)
    done: list[int] = []
    refit(small, dense, [batch], tick=done.append)
    assert squared_error(small, dense, batch) < 0.7 * before
    kept = (*small.config.layer_heads, *small.config.layer_ffn)
    assert done == list(range(1, sum(map(bool, kept)) + 1))


@pytest.mark.parametrize("head", ("sequence", "token", "span"))
def test_every_head_has_importance(head: str, tmp_path: Path) -> None:
    model = model_of(tmp_path, "bert", head)
    scores = importance(model, [inputs_of("bert")], generator=torch.Generator().manual_seed(0))
    assert all(torch.isfinite(own).all() and own.sum() > 0 for own in scores.values())


def test_padding_has_no_importance(tmp_path: Path) -> None:
    model, batch = model_of(tmp_path, "bert", "token"), inputs_of("bert")
    other = batch | {"input_ids": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 7)}
    assert not torch.equal(batch["input_ids"], other["input_ids"])
    ours, theirs = (
        importance(model, [own], generator=torch.Generator().manual_seed(0))
        for own in (batch, other)
    )
    torch.testing.assert_close(ours, theirs)


def test_what_another_unit_also_computes_is_made_up_for(tmp_path: Path) -> None:
    dense, batch = model_of(tmp_path), inputs_of("bert")
    shape = EncoderShape.of(dense.config)
    half = shape.ffn // 2
    with torch.no_grad():
        for layer in dense.model.encoder.layers:
            for part in (layer.ffn.up.weight, layer.ffn.up.bias):
                part[half:] = part[:half]
    heads = [list(range(shape.n_heads))] * shape.n_layers
    dims = [list(range(half))] * shape.n_layers
    hidden = list(range(shape.hidden))
    plan = PrunePlan(shape=shape.as_dict(), heads=heads, ffn=dims, hidden=hidden)
    small = compact(dense, plan).eval()
    before = squared_error(small, dense, batch)
    refit(small, dense, [batch], ridge=1e-7)
    assert squared_error(small, dense, batch) < 1e-4 * before


def test_a_sub_layer_that_is_not_worth_its_overhead_makes_room_for_others() -> None:
    cost = LatencyCost(made_up_table(SHAPE))
    torch.manual_seed(0)
    scores = {"head": torch.rand(3, 4), "ffn_dim": torch.rand(3, 24)}
    scores["head"][2] = torch.tensor([0.8, 1e-3, 1e-3, 1e-3])  # the best head, on its own
    plan = most_important(scores, cost, 0.4)
    assert cost.exact(plan.widths) <= cost.budget(0.4)
    assert plan.heads[2] == [] and any(plan.heads)
    assert 0 in most_important(scores, ParameterCost(SHAPE), 0.4).heads[2]
