"""GLUE from the hub, without a network."""

from __future__ import annotations

import time

import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import load_task
from cofi_cli.tasks.builtin import hub
from cofi_cli.tasks.builtin.glue import splits_from_hub

datasets = pytest.importorskip("datasets")


def test_the_hubs_splits_become_ours():
    row = {"premise": ["a"], "hypothesis": ["b"], "idx": [0]}
    found = {
        "train": datasets.Dataset.from_dict({**row, "label": [2]}),
        "validation_matched": datasets.Dataset.from_dict({**row, "label": [1]}),
        "validation_mismatched": datasets.Dataset.from_dict({**row, "label": [0]}),
        "test_matched": datasets.Dataset.from_dict({**row, "label": [-1]}),
    }
    splits = splits_from_hub("mnli", found)
    assert {name: split.labels for name, split in splits.items()} == {
        "train": [2],
        "validation": [1],
        "validation_mismatched": [0],
        "test": None,
    }
    assert splits["train"].texts == [("a", "b")]


def test_without_a_network_it_ends_at_once_and_says_what_to_do(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub import constants

    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    start = time.monotonic()
    with pytest.raises(CofiError) as caught:
        load_task(TaskConfig(name="sst2"))
    assert time.monotonic() - start < 5
    error = caught.value
    assert error.exit_code == 6
    assert error.message.startswith("Cannot load task 'sst2' from the hub (nyu-mll/glue)")
    for way_out in ("--data DIR", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE=1", "--task demo"):
        assert way_out in str(error.hint)
    assert constants.HF_HUB_OFFLINE is False


def test_hf_hub_offline_asks_nobody(monkeypatch):
    import huggingface_hub
    from huggingface_hub import constants

    def asked(*_, **__):
        pytest.fail("the hub was asked")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", asked)
    assert hub._reachable("nyu-mll/glue") is False
