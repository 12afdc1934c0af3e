"""``--dry-run`` states the steps that training will take."""

from pathlib import Path

import pytest

from cofi_cli.errors import CofiError
from cofi_cli.training.dry_run import dry_run
from tests.tiny import SHAPE, quick_config, save_reviews, save_tagged


@pytest.mark.parametrize(("max_length", "is_cut"), [(32, False), (5, True)])
def test_long_tagged_sentences_count_as_rows(
    bert_folder: Path, tmp_path: Path, max_length: int, is_cut: bool
) -> None:
    data = save_tagged(tmp_path)
    quick = quick_config(bert_folder, data, teacher={"epochs": 2, "batch_size": 4})
    files = {"train": str(data / "train.conll"), "validation": str(data / "dev.conll")}
    task = type(quick.task)(**files, max_length=max_length)
    plan = dry_run(quick.model_copy(update={"task": task}))
    windows, sentences = plan["features"]["train"], plan["rows"]["train"]
    assert (windows > sentences) is is_cut
    stages = {stage["name"]: stage for stage in plan["stages"]}
    assert stages["teacher"]["steps"] == 2 * -(-windows // 4)
    assert all(stage["seconds"] > 0 for stage in stages.values())


def test_a_length_that_the_model_does_not_take_is_told(bert_folder: Path, tmp_path: Path) -> None:
    config = quick_config(bert_folder, save_reviews(tmp_path))
    task = config.task.model_copy(update={"max_length": 33})
    with pytest.raises(CofiError, match="this model takes at most 32 tokens") as caught:
        dry_run(config.model_copy(update={"task": task}))
    assert caught.value.hint == "Add --set task.max_length=32"


def test_some_groups_of_gates_have_a_range_of_their_own(bert_folder: Path, reviews: Path) -> None:
    some = {"gates": ("head", "attention"), "sparsity": 0.5}
    plan = dry_run(quick_config(bert_folder, reviews, prune=some))
    most = plan["reachable_sparsity"][1]
    assert most == SHAPE.reachable(["head", "attention"]) < 0.6
    with pytest.raises(CofiError) as caught:
        dry_run(quick_config(bert_folder, reviews, prune=some | {"sparsity": 0.6}))
    assert "0.6 cannot be reached with prune.gates head, attention alone" in caught.value.message
    assert f"the reachable range is 0 to {most:.4f}" in caught.value.message
    assert "prune.gates" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("constraint", "rate", "is_slow"),
    [("lagrangian", 0.12, True), ("lagrangian", 0.14, False), ("held", 0.0001, False)],
)
def test_gates_that_cannot_close_in_time(
    bert_folder: Path, reviews: Path, constraint: str, rate: float, is_slow: bool
) -> None:
    """48 steps after the dense epoch."""
    settings = {"constraint": constraint, "gate_learning_rate": rate}
    found = dry_run(quick_config(bert_folder, reviews, prune=settings))["warnings"]
    assert len(found) == is_slow
    for text in ("in the 48 steps", "rate 0.12 in 52 steps", "prune.constraint=held"):
        assert not is_slow or text in found[0]


def test_steps_that_leave_none_at_the_target(bert_folder: Path, reviews: Path) -> None:
    schedule = {"epochs": 1, "dense_epochs": 0.2, "ramp_epochs": 0.3, "batch_size": 128}
    with pytest.raises(CofiError) as caught:
        dry_run(quick_config(bert_folder, reviews, prune=schedule))
    assert "128 rows in batches of 128 make 1 steps" in caught.value.message
    assert "dense epochs take 1 and the ramp 1: none is left" in caught.value.message
    dry_run(quick_config(bert_folder, reviews, prune=schedule | {"batch_size": 16}))


def test_multiples_of_widths_narrow_the_range(bert_folder: Path, reviews: Path) -> None:
    some = {"gates": ("hidden", "ffn_dim"), "sparsity": 0.5, "round_widths_to": 8}
    most = dry_run(quick_config(bert_folder, reviews, prune=some))["reachable_sparsity"][1]
    assert most < SHAPE.reachable(["hidden", "ffn_dim"])
    left = SHAPE.n_layers * (SHAPE.n_heads * SHAPE.per_head(8) + 8)
    assert most == pytest.approx(1 - left / SHAPE.prunable)


def test_numbers_far_from_what_a_model_answers(bert_folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"a film {i},{1000 * i}.5\n" for i in range(40)))
    quick = quick_config(bert_folder, tmp_path)
    task = type(quick.task)(train=str(rows), validation=str(rows), max_length=16)
    found = dry_run(quick.model_copy(update={"task": task}))["warnings"]
    assert len(found) == 1 and "reach from 0.5 to 39000.5" in found[0]
