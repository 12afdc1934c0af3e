"""Some groups of gates alone: the others stay whole, and the target is met from above."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.gates import GROUPS, Gates
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import EncoderShape, size
from tests.tiny import SHAPE

MINILM = EncoderShape(n_layers=6, n_heads=12, head_dim=32, ffn=1536, hidden=384)
SUBSETS = [own for n in range(1, 6) for own in combinations(GROUPS, n)]
FINE = {"attention": "head", "ffn": "ffn_dim"}
COARSE = {fine: coarse for coarse, fine in FINE.items()}


def some_gates(shape: EncoderShape, groups: tuple[str, ...], seed: int = 0) -> Gates:
    """Return gates with spread out log-alphas, those of groups that are not learned too."""
    gates = Gates(shape, groups=groups)
    generator = torch.Generator().manual_seed(seed)
    for alpha in gates.parameters():
        alpha.data = 2.5 * torch.randn(alpha.shape, generator=generator)
    return gates


def assert_others_are_whole(plan: PrunePlan, groups: tuple[str, ...]) -> None:
    shape = plan.encoder_shape
    for kept, coarse, whole in (
        (plan.heads, "attention", shape.n_heads),
        (plan.ffn, "ffn", shape.ffn),
    ):
        widths = {len(units) for units in kept}
        if FINE[coarse] not in groups:
            assert widths <= ({0, whole} if coarse in groups else {whole})
    if "hidden" not in groups:
        assert len(plan.hidden) == shape.hidden


def size_with_one_more(plan: PrunePlan, group: str) -> int:
    """Return the weights of a plan with the first removed unit of a group put back."""
    masks = plan.masks()
    flags = getattr(masks, group).view(-1)
    flags[int((flags == 0).nonzero()[0])] = 1
    for beside in (FINE.get(group), COARSE.get(group)):
        if beside is not None:  # not learned: open, and whole
            getattr(masks, beside).fill_(1)
    return round(size(masks, plan.encoder_shape).item())


@pytest.mark.parametrize(
    ("group", "target"),
    [("head", 0.2), ("ffn_dim", 0.5), ("hidden", 0.7), ("attention", 0.2), ("ffn", 0.4)],
)
@pytest.mark.parametrize("seed", range(3))
def test_one_group_alone_comes_as_close_as_it_can(group: str, target: float, seed: int) -> None:
    gates = some_gates(MINILM, (group,), seed)
    gates.hold(target)
    plan = decide(gates, target)
    assert plan.sparsity >= target
    assert_others_are_whole(plan, (group,))
    assert size_with_one_more(plan, group) > MINILM.prunable * (1 - target)


@pytest.mark.parametrize("groups", SUBSETS, ids="-".join)
@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_every_choice_of_groups_meets_what_it_can_reach(
    groups: tuple[str, ...], share: float
) -> None:
    most = SHAPE.reachable(groups)
    plan = decide(some_gates(SHAPE, groups), share * most)
    assert plan.sparsity >= share * most - 1e-9
    assert_others_are_whole(plan, groups)


@pytest.mark.parametrize("groups", SUBSETS, ids="-".join)
def test_no_choice_of_groups_gets_farther(groups: tuple[str, ...]) -> None:
    """Where something stays that no gate can close, all the rest gone is the end."""
    covered = [bool({fine, coarse} & set(groups)) for coarse, fine in FINE.items()]
    plan = decide(some_gates(SHAPE, groups), 0.999999)
    assert_others_are_whole(plan, groups)
    if not all(covered):
        assert plan.sparsity == pytest.approx(SHAPE.reachable(groups), abs=1e-12)


def test_what_each_group_can_reach() -> None:
    """By hand, for four heads of width 4 and 24 FFN dims at 16 hidden dims, and at one."""
    attention, ffn = 4 * 4 * (4 * 16 + 3) + 16, 24 * (2 * 16 + 1) + 16
    assert SHAPE.prunable == 3 * (attention + ffn)
    assert SHAPE.reachable(["head"]) == pytest.approx(attention / (attention + ffn))
    assert SHAPE.reachable(["ffn"]) == pytest.approx(ffn / (attention + ffn))
    narrow = 3 * (4 * 4 * (4 + 3) + 1 + 24 * 3 + 1)
    assert SHAPE.reachable(["hidden"]) == pytest.approx(1 - narrow / SHAPE.prunable)
    both = SHAPE.reachable(["attention", "ffn"])
    assert both == pytest.approx(1 - ffn / SHAPE.prunable), "the smaller sub-layer"
    assert SHAPE.reachable(GROUPS) == SHAPE.max_sparsity


@pytest.mark.parametrize("group", ["head", "ffn_dim", "hidden"])
def test_only_learned_widths_are_rounded(group: str) -> None:
    plan = decide(some_gates(SHAPE, (group,)), 0.2, multiple=7)
    assert_others_are_whole(plan, (group,))
    assert plan.sparsity >= 0.2
    if group == "hidden":
        assert len(plan.hidden) % 7 == 0
    if group == "ffn_dim":
        assert all(len(kept) % 7 == 0 or len(kept) == 24 for kept in plan.ffn)
