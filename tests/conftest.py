"""Shared fixtures: no network, few threads, tiny models."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

from tests.tiny import save_bert, save_reviews

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT classifier on disk, with its tokenizer."""
    return save_bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.tsv and dev.tsv."""
    return save_reviews(tmp_path_factory.mktemp("reviews"))
