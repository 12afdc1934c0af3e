"""The encoder and its configuration; travels inside checkpoints.

Imports nothing of the rest of the package. Names are loaded on first use: the
configuration alone can then be had while transformers itself is being imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_cofi import CofiConfig
    from .masks import Masks
    from .modeling_cofi import (
        HEADS,
        IGNORE,
        CofiForEmbedding,
        CofiForQuestionAnswering,
        CofiForSequenceClassification,
        CofiForTask,
        CofiForTokenClassification,
        CofiModel,
        MaskedOutput,
    )

__all__ = [
    "HEADS",
    "IGNORE",
    "CofiConfig",
    "CofiForEmbedding",
    "CofiForQuestionAnswering",
    "CofiForSequenceClassification",
    "CofiForTask",
    "CofiForTokenClassification",
    "CofiModel",
    "MaskedOutput",
    "Masks",
]

_HOME = {"CofiConfig": ".configuration_cofi", "Masks": ".masks"}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, ".modeling_cofi"), __name__), name)
