"""Data sets from the hub or the cache of ``datasets``; quick to say so without a network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 5.0
"""How long the hub may take to answer before only the cache is tried. Without this probe
``datasets`` retries for half a minute when there is no network."""

_HINT = """Without a network:
  - {layout}
  - or fetch it once where the hub is reachable, copy the datasets cache here
    (HF_DATASETS_CACHE; ~/.cache/huggingface/datasets), and set HF_HUB_OFFLINE=1
  - or try --task demo, which needs no data."""


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
            return found
    except Exception as error:  # the hub's clients raise a dozen unrelated types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CofiError(
            f"Cannot load task '{name}' from the hub ({dataset}), and it is not in the cache: "
            f"{reason}",
            hint=_HINT.format(layout=hint),
            exit_code=UNREACHABLE,
        ) from error


def _reachable(dataset: str) -> bool:
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
