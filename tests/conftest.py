"""Shared fixtures: no network, few threads, tiny models."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

from cofi_cli.runtime import disturbance
from tests.tiny import save_bert, save_reviews

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def uncounted() -> Iterator[None]:
    """Time as where no processor time is counted: what tests measure may be disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disturbance, "TASKS", "/no/task/{pid}")
        patch.setattr(disturbance.psutil, "cpu_percent", lambda interval: 0.0)
        yield


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT classifier on disk, with its tokenizer."""
    return save_bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.tsv and dev.tsv."""
    return save_reviews(tmp_path_factory.mktemp("reviews"))
