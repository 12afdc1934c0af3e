"""How many examples a property is tried on.

A small sample, always the same, by default; with COFI_FUZZ=2000 as many random ones, and the
failures of earlier calls first.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

MANY = int(os.environ.get("COFI_FUZZ", "0"))


def sample(count: int) -> Any:
    """Return settings of a small fixed sample, or of many random examples."""
    return settings(
        max_examples=MANY or count,
        derandomize=not MANY,
        database=None if not MANY else settings.default.database,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
