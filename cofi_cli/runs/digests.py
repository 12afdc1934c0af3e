"""SHA-256 of files: whether a file is still the one that a record describes."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

_SETTLED_SECONDS = 5.0
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def file_digest(path: Path) -> str:
    """Return a file's sha256; one that was read before and has not changed since is not again.

    One that was written a moment ago is: a second write would not show in its time.
    """
    facts = path.stat()
    if time.time() - facts.st_mtime < _SETTLED_SECONDS:
        return _digest.__wrapped__(path)
    return _digest(path, facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)


def files_digest(files: Sequence[Path]) -> str:
    """Return the sha256 of a file; of several that of their sha256, a line each."""
    digests = [file_digest(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def weights_digest(name: str) -> str | None:
    """Return the sha256 of a local checkpoint's weights, ``None`` when it is not local."""
    for file in _WEIGHTS:
        path = Path(name) / file
        if path.is_file():
            return file_digest(path)
    return None


@functools.lru_cache(maxsize=256)
def _digest(path: Path, *facts: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
