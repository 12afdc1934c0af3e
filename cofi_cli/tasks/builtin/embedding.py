"""STS-B as a task for embedders: its sentences to learn from, its rated pairs to score on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.tasks.builtin.glue import glue_from_folder
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
    splits: Mapping[str, Split]
    if config.data is not None:
        splits = glue_from_folder("stsb", Path(config.data), max_length=config.max_length).splits
    else:
        from cofi_cli.tasks.builtin.hub import load_splits

        hint = "name a folder with train.tsv and dev.tsv (sentence1, sentence2, score): --data DIR"
        splits = splits_from_hub(load_splits(STSB, DATASET, hint=hint))
    rated = {name: split for name, split in splits.items() if name != "train" and split.labels}
    texts = distinct([text for pair in splits["train"].texts for text in pair])
    train = {"train": Split([(text,) for text in texts], None)}
    return Task(STSB, KIND, (), KIND.metrics, {**train, **rated}, config.max_length)


def splits_from_hub(found: Mapping[str, Any]) -> dict[str, Split]:
    """Turn the hub's splits of STS-B into ours."""
    splits = {}
    for name in ("train", "validation", "test"):
        if name in found:
            columns: dict[str, list[Any]] = found[name][:]
            pairs: list[tuple[str, ...]] = list(
                zip(columns["sentence1"], columns["sentence2"], strict=True)
            )
            splits[name] = Split(pairs, [float(score) for score in columns["score"]])
    return splits
