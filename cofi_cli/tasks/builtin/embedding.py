"""STS-B as a task for embedders: its sentences to learn from, its rated pairs to score on."""

from __future__ import annotations

from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.tasks.builtin.glue import splits_from_folder, splits_from_hub
from cofi_cli.tasks.builtin.hub import load_splits
from cofi_cli.tasks.kinds.embedding import KIND, distinct
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

STSB = "stsb-embedding"
DATASET = "sentence-transformers/stsb"
"""STS-B on the hub with the scores of its test split; GLUE's own copy lacks them."""


def stsb_embedding(config: TaskConfig) -> Task:
    """Load STS-B: the training sentences without their scores, dev and test with them.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in the data.
    """
    if config.data is not None:
        splits = splits_from_folder("stsb", Path(config.data))
    else:
        hint = "name a folder with train.tsv and dev.tsv (sentence1, sentence2, score): --data DIR"
        splits = splits_from_hub("stsb", load_splits(STSB, DATASET, hint=hint))
    rated = {name: split for name, split in splits.items() if name != "train" and split.labels}
    texts = distinct([text for pair in splits["train"].texts for text in pair])
    train = {"train": Split([(text,) for text in texts], None)}
    return Task(STSB, KIND, (), KIND.metrics, {**train, **rated}, config.max_length)
