"""Data sets from the hub or the cache of ``datasets``; quick to say so without a network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.tasks.builtin.glue import GLUE
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

logger = logging.getLogger(__name__)

DATASET = "nyu-mll/glue"

_PROBE_SECONDS = 5.0
"""How long the hub may take to answer before only the cache is tried. Without this probe
``datasets`` retries for half a minute when there is no network."""

_GLUE_LAYOUT = "name a folder with train.tsv and dev.tsv: --data DIR"
_HINT = """Without a network:
  - {layout}
  - or fetch it once where the hub is reachable, copy the datasets cache here
    (HF_DATASETS_CACHE; ~/.cache/huggingface/datasets), and set HF_HUB_OFFLINE=1
  - or try --task demo, which needs no data."""

_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "validation_matched"),
    "validation_mismatched": ("validation_mismatched",),
    "test": ("test", "test_matched"),
}
"""Our name of a split -> the hub's."""


def glue_from_hub(name: str, *, max_length: int) -> Task:
    """Load a GLUE task through ``datasets.load_dataset``.

    Raises:
        CofiError: neither the hub nor the cache has it (exit code 6).
    """
    found = load_splits(name, DATASET, subset=name, hint=_GLUE_LAYOUT)
    return task_from_hub_splits(name, found, max_length=max_length)


def load_splits(
    name: str,
    dataset: str,
    *,
    subset: str | None = None,
    revision: str | None = None,
    hint: str,
) -> Mapping[str, Any]:
    """Return the splits of a data set through ``datasets.load_dataset``.

    Args:
        name: what an error calls the task.
        dataset, subset, revision: on the hub.
        hint: what local files would serve instead.

    Raises:
        CofiError: neither the hub nor the cache has it (exit code 6).
    """
    import datasets

    try:
        with _offline(not _reachable(dataset)):
            found: Mapping[str, Any] = datasets.load_dataset(dataset, subset, revision=revision)
    except Exception as error:  # the hub's clients raise a dozen unrelated types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CofiError(
            f"Cannot load task '{name}' from the hub ({dataset}), and it is not in the cache: "
            f"{reason}",
            hint=_HINT.format(layout=hint),
            exit_code=UNREACHABLE,
        ) from error
    return found


def task_from_hub_splits(name: str, found: Mapping[str, Any], *, max_length: int) -> Task:
    """Turn the hub's splits of a GLUE task into a :class:`Task`; a label of -1 means unknown."""
    spec = GLUE[name]
    splits: dict[str, Split] = {}
    for split, aliases in _SPLITS.items():
        source = next((found[alias] for alias in aliases if alias in found), None)
        if source is None:
            continue
        columns: dict[str, list[Any]] = source[:]
        texts = [next(columns[n] for n in names if n in columns) for names in spec.texts]
        labels = columns["label"]
        unknown = all(label == -1 for label in labels)
        splits[split] = Split(list(zip(*texts, strict=True)), None if unknown else labels)
    return Task(name, spec.kind, spec.labels, spec.metrics, splits, max_length)


def _reachable(dataset: str = DATASET) -> bool:
    """Whether the hub answers at once; ``False`` if the user asked to stay offline."""
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.HfApi().dataset_info(dataset, timeout=_PROBE_SECONDS)
    except Exception as error:  # connection, proxy, TLS, HTTP: each client has its own types
        logger.info("The hub does not answer (%s); trying the cache.", error)
        return False
    return True


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Keep ``datasets`` to its cache, as ``HF_HUB_OFFLINE=1`` at the start would."""
    import datasets
    from huggingface_hub import constants

    before = (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
    if wanted:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
