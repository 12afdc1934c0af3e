"""``--dry-run`` states the steps that training will take."""

from pathlib import Path

import pytest

from cofi_cli.errors import CofiError
from cofi_cli.training.dry_run import dry_run
from tests.tiny import quick_config, save_reviews, save_tagged


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
    assert plan["stages"][0] == {"name": "teacher", "epochs": 2, "steps": 2 * -(-windows // 4)}


def test_a_length_that_the_model_does_not_take_is_told(bert_folder: Path, tmp_path: Path) -> None:
    config = quick_config(bert_folder, save_reviews(tmp_path))
    task = config.task.model_copy(update={"max_length": 33})
    with pytest.raises(CofiError, match="this model takes at most 32 tokens") as caught:
        dry_run(config.model_copy(update={"task": task}))
    assert caught.value.hint == "Add --set task.max_length=32"
