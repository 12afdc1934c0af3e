"""The configuration mirrors the YAML: frozen, complete, and the same after a round trip."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from cofi_cli.config import FAMILY, DistillConfig, RunConfig
from cofi_cli.config_errors import config_keys, unknown_key
from cofi_cli.errors import CofiError


def test_it_survives_its_own_yaml() -> None:
    config = RunConfig.model_validate(
        {"model": "m", "task": {"name": "sst2", "text": ["a"]}, "prune": {"gates": ["head"]}}
    )
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    assert RunConfig.model_validate(yaml.safe_load(text)) == config


def test_it_is_frozen() -> None:
    config = RunConfig(model="m")
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1  # type: ignore[misc]


def test_only_the_model_has_no_default() -> None:
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate({})
    assert [(e["loc"], e["type"]) for e in caught.value.errors()] == [(("model",), "missing")]


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 0.999])
def test_sparsity_inside_its_range(sparsity: float) -> None:
    assert RunConfig(model="m", prune={"sparsity": sparsity}).prune.sparsity == sparsity


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 95, float("nan")])
def test_sparsity_outside_its_range(sparsity: float) -> None:
    with pytest.raises(ValidationError, match="sparsity"):
        RunConfig(model="m", prune={"sparsity": sparsity})


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), "1e400"])
@pytest.mark.parametrize("key", ["teacher.epochs", "recover.learning_rate", "distill.layer_weight"])
def test_no_number_is_endless(key: str, value: object) -> None:
    section, name = key.split(".")
    with pytest.raises(ValidationError, match=name):
        RunConfig.model_validate({"model": "m", section: {name: value}})


def test_a_seed_is_one_that_numpy_takes() -> None:
    import numpy as np

    most = 2**32 - 1
    np.random.seed(RunConfig(model="m", seed=most).seed)
    with pytest.raises(ValidationError, match="seed"):
        RunConfig(model="m", seed=most + 1)


def test_keys_are_dotted_and_complete() -> None:
    keys = set(config_keys())
    assert {"model", "seed", "task.name", "prune.sparsity", "train.precision"} <= keys
    assert "prune" not in keys


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("prune.sparsty", "prune.sparsity"),
        ("sparsity", "prune.sparsity"),
        ("trian.grad_clip", "train.grad_clip"),
        ("distill.temprature", "distill.temperature"),
    ],
)
def test_an_unknown_key_is_guessed(given: str, meant: str) -> None:
    assert f"Did you mean '{meant}'" in unknown_key(given)


def test_a_schedule_that_ends_before_the_target_is_refused() -> None:
    from cofi_cli.presets import parse_override, preset_layer, resolve_config

    layers = [preset_layer("demo"), parse_override("prune.epochs=3")]
    with pytest.raises(CofiError, match=r"prune: dense_epochs \+ ramp_epochs is 3, which leaves"):
        resolve_config(layers)


def test_the_gates_own_floor_is_the_configurations() -> None:
    from cofi_cli.pruning.hard_concrete import FLOOR

    assert RunConfig(model="m").prune.gate_floor == FLOOR


def test_a_distillation_without_a_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="leave no loss"):
        DistillConfig(matching="none", prediction_weight=0.0)
    assert DistillConfig(matching="none", prediction_weight=0.0, label_weight=1.0)


def test_without_a_target_a_run_makes_a_family_of_sizes() -> None:
    prune = RunConfig(model="m", prune={"epochs": 9}).prune
    assert (*prune.milestones, prune.sparsity, prune.max_drop) == (*FAMILY, 1.0)
    prune = RunConfig(model="m", prune={"max_drop": 2}).prune
    assert (prune.milestones, prune.max_drop) == (FAMILY[:-1], 2)
    prune = RunConfig(model="m", prune={"latency": "500us", "milestones": ["2ms"]}).prune
    assert (prune.sparsity, prune.larger, prune.seconds) == (None, (0.002,), 0.0005)
    assert RunConfig(model="m", prune={"sparsity": 0.8}).prune.max_drop is None
    with pytest.raises(ValidationError, match=r"0\.5 are not of the same unit as latency 5ms"):
        RunConfig(model="m", prune={"latency": "5ms", "milestones": [0.5]})
