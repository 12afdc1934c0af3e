"""Expected seconds: exact at 0 and 1, by brute force between, rising with every gate."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from cofi_cli.errors import UNREACHABLE, USAGE, CofiError
from cofi_cli.modeling import Masks
from cofi_cli.pruning.cost import LatencyCost, reachable, read_table, reduction
from cofi_cli.pruning.cost.latency import open_units
from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.plan import everything
from cofi_cli.pruning.shape import GROUPS, EncoderShape, Widths
from tests.latency_tables import made_up_table, save_table, table_values
from tests.tiny import SHAPE
from tests.unit.test_cost import open_gates, random_widths

MINILM = EncoderShape(n_layers=6, n_heads=12, head_dim=32, ffn=1536, hidden=384)
FIELDS = ("head", "attention", "ffn_dim", "ffn", "hidden")


def random_gates(shape: EncoderShape, seed: int) -> Masks:
    generator = torch.Generator().manual_seed(seed)
    like = open_gates(shape, Widths((0,) * shape.n_layers, (0,) * shape.n_layers, 1))
    return Masks(
        **{
            name: torch.rand(getattr(like, name).shape, generator=generator, dtype=torch.float64)
            for name in FIELDS
        }
    )


def trained_gates(target: float, seed: int, *, spread: float = 2.5) -> Gates:
    gates = Gates(MINILM, cost=LatencyCost(made_up_table(MINILM)))
    generator = torch.Generator().manual_seed(seed)
    for name in gates.learned:
        alpha = gates.get_parameter(name)
        alpha.data = spread * torch.randn(alpha.shape, generator=generator)
    gates.hidden.data.fill_(4.0)
    gates.hold(target)
    return gates


@pytest.mark.parametrize("shape", [SHAPE, MINILM], ids=["tiny", "minilm"])
@pytest.mark.parametrize("seed", range(20))
def test_exact_seconds_are_the_expected_ones_at_zero_and_one(
    shape: EncoderShape, seed: int
) -> None:
    cost, widths = LatencyCost(made_up_table(shape)), random_widths(shape, seed)
    expected = cost.expected(open_gates(shape, widths)).item()
    assert expected == pytest.approx(cost.exact(widths), rel=1e-12)


def test_seconds_of_measured_widths_are_the_tables() -> None:
    table = made_up_table()
    cost = LatencyCost(table)
    for row, hidden in enumerate(table.hidden):
        for column, heads in enumerate(table.heads):
            assert cost.sub_layer("head", heads, hidden) == table.attention_seconds[row][column]
        for column, dims in enumerate(table.ffn_widths):
            found = cost.sub_layer("ffn_dim", dims, hidden)
            assert found == pytest.approx(table.ffn_seconds[row][column], rel=1e-12)
    assert cost.sub_layer("head", 0, 16) == cost.sub_layer("ffn_dim", 0, 16) == 0.0
    assert cost.exact(Widths((0,) * 3, (0,) * 3, 16)) == table.fixed_seconds
    between = (cost.sub_layer("ffn_dim", 12, 8) + cost.sub_layer("ffn_dim", 12, 16)) / 2
    assert cost.sub_layer("ffn_dim", 12, 12) == pytest.approx(between)
    assert cost.sub_layer("ffn_dim", 12, 3) == cost.sub_layer("ffn_dim", 12, 8)
    whole = (sum(table.attention_seconds[1][-1:]) + table.ffn_seconds[1][-1]) * SHAPE.n_layers
    assert cost.dense == pytest.approx(table.fixed_seconds + whole)


def test_the_number_of_open_heads_by_all_their_combinations() -> None:
    q = torch.rand(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.zeros(2, 6, dtype=torch.float64)
    for opened in itertools.product((0, 1), repeat=5):
        flags = torch.tensor(opened, dtype=torch.float64)
        found[:, sum(opened)] += (flags * q + (1 - flags) * (1 - q)).prod(-1)
    assert torch.allclose(open_units(q), found)


@pytest.mark.parametrize("seed", range(3))
def test_expected_seconds_are_the_mean_of_samples(seed: int) -> None:
    """Heads are exact; FFN and hidden width at their means are close, even of 24 and 16 dims."""
    cost, gates = LatencyCost(made_up_table()), random_gates(SHAPE, seed)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(2000):
        on = {
            name: torch.rand(p.shape, generator=generator) < p
            for name, p in ((name, getattr(gates, name)) for name in FIELDS)
        }
        heads = (on["head"] & on["attention"][:, None]).sum(-1).tolist()
        dims = (on["ffn_dim"] & on["ffn"][:, None]).sum(-1).tolist()
        found.append(cost.exact(Widths(tuple(heads), tuple(dims), int(on["hidden"].sum()))))
    assert cost.expected(gates).item() == pytest.approx(sum(found) / len(found), rel=0.06)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_seconds_rise_with_every_gate(seed: int, scale: float) -> None:
    cost, gates = LatencyCost(made_up_table()), random_gates(SHAPE, seed)
    leaves = {name: (getattr(gates, name) * scale).requires_grad_() for name in FIELDS}
    cost.expected(Masks(**leaves)).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None and leaf.grad.min() >= -1e-18, name
    assert all(leaves[name].grad.max() > 0 for name in ("head", "attention", "ffn_dim", "ffn"))


def test_gradients_are_those_of_differences() -> None:
    cost, gates = LatencyCost(made_up_table()), random_gates(SHAPE, 7)
    leaves = [getattr(gates, name).requires_grad_() for name in FIELDS]

    def milliseconds(*values: torch.Tensor) -> torch.Tensor:
        return 1000 * cost.expected(Masks(**dict(zip(FIELDS, values))))

    assert torch.autograd.gradcheck(milliseconds, leaves)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.8, 0.9])
@pytest.mark.parametrize("seed", range(2))
def test_a_plan_meets_its_speed(target: float, seed: int) -> None:
    gates = trained_gates(target, seed)
    assert gates.expected_reduction().item() == pytest.approx(target, abs=2e-4)
    plan = decide(gates, target)
    assert 0 <= reduction(gates.cost, plan.widths) - target < 0.02


def test_rounded_widths_meet_their_speed_too() -> None:
    gates = trained_gates(0.8, 1)
    plan = decide(gates, 0.8, multiple=64)
    assert all(len(kept) % 64 == 0 for kept in plan.ffn) and len(plan.hidden) % 64 == 0
    assert reduction(gates.cost, plan.widths) >= 0.8


def test_the_same_speed_where_layers_are_dear_and_where_they_are_not() -> None:
    """Costly calls empty sub-layers; where only products cost, more of them stay, thinner."""

    def sub_layers(flat: float, target: float = 0.8) -> int:
        values = table_values(MINILM)
        higher = {
            name: [[flat + t for t in row] for row in values[name]]
            for name in ("attention_seconds", "ffn_seconds")
        }
        gates = Gates(MINILM, cost=LatencyCost(made_up_table(MINILM, **higher)))
        gates.load_state_dict(trained_gates(0.5, 0, spread=1.5).state_dict())
        gates.hold(target)
        plan = decide(gates, target)
        # One more sub-layer is dear: what it would take is not left lying about.
        whole = (0, MINILM.n_heads, MINILM.ffn)
        if {len(kept) for kept in plan.heads + plan.ffn} - {*whole}:
            assert 0 <= reduction(gates.cost, plan.widths) - target < 0.001
        return sum(map(bool, plan.heads)) + sum(map(bool, plan.ffn))

    assert sub_layers(0.004) < sub_layers(0.0)
    assert sub_layers(0.004, target=0.5) < sub_layers(0.0, target=0.5)


def test_what_a_table_can_reach() -> None:
    table = made_up_table()
    cost = LatencyCost(table)
    assert reduction(cost, everything(SHAPE).widths) == 0.0
    one_head = table.fixed_seconds + table.attention_seconds[-1][0]
    assert reachable(cost, GROUPS) == pytest.approx(1 - one_head / cost.dense)
    assert reachable(cost, ("ffn",)) < reachable(cost, ("ffn", "attention"))


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = read_table(save_table(tmp_path / "table.json"), SHAPE)
    assert table == made_up_table()
    again = tmp_path / "again.json"
    again.write_text(table.model_dump_json(indent=1), encoding="utf-8")
    assert read_table(again, SHAPE) == table


def descending(row: int, column: int) -> list[list[float]]:
    values: list[list[float]] = table_values()["attention_seconds"]
    values[row][column] = 9.0
    return values


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 2}, "is no latency table: version is 2: input should be 1."),
        ({"heads": [1, 2, 4]}, "heads lacks 3 of 1 to 4"),
        ({"heads": [2, 1, 3, 4]}, "heads is not 1 to 4, ascending"),
        ({"ffn_widths": [1, 3, 12, 6, 24]}, "ffn_widths does not ascend"),
        ({"ffn_widths": [1, 3, 6, 12, 20]}, "ffn_widths ends at 20, not at the dense 24"),
        ({"hidden": [4, 8]}, "hidden ends at 8, not at the dense 16"),
        ({"ffn_seconds": [[1.0] * 5]}, "ffn_seconds has 1 rows for 2 hidden widths"),
        ({"ffn_seconds": [[1.0] * 5, [1.0] * 4]}, "4 times for 5 widths at hidden 16"),
        ({"ffn_seconds": [[None] * 5] * 2}, "is no latency table: ffn_seconds[0][0] is None"),
        ({"hidden": [16]}, "is no latency table: hidden"),
        ({"batch": 0}, "batch is 0: input should be greater than or equal to 1"),
        (
            {"attention_seconds": descending(1, 1)},
            "attention_seconds at hidden 16: 2 takes 9 s, 3 0.00155 s",
        ),
        (
            {"attention_seconds": descending(0, 3)},
            "attention_seconds of 4: hidden 8 takes 9 s, 16 0.002 s",
        ),
    ],
)
def test_a_table_that_cannot_be_used(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(CofiError) as caught:
        read_table(save_table(tmp_path / "table.json", **changes), SHAPE)
    assert text in caught.value.message and str(tmp_path) in caught.value.message
    assert caught.value.hint and caught.value.exit_code == USAGE


def test_a_table_of_another_encoder(tmp_path: Path) -> None:
    with pytest.raises(CofiError) as caught:
        read_table(save_table(tmp_path / "table.json"), MINILM)
    assert "another shape: n_layers 3, not 6; n_heads 4, not 12" in caught.value.message


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="Cannot read the latency table") as caught:
        read_table(tmp_path / "none.json", SHAPE)
    assert caught.value.exit_code == UNREACHABLE and "--table FILE" in str(caught.value.hint)
    (tmp_path / "text.json").write_text("seconds: many")
    with pytest.raises(CofiError, match=r"text.json is no latency table: .*: invalid JSON"):
        read_table(tmp_path / "text.json", SHAPE)
