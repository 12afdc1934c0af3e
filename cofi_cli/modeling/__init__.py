"""The encoder and its configuration; travels inside checkpoints.

Imports nothing of the rest of the package.
"""

from .configuration_cofi import CofiConfig
from .masks import Masks
from .modeling_cofi import CofiForSequenceClassification, CofiModel, MaskedOutput

__all__ = [
    "CofiConfig",
    "CofiForSequenceClassification",
    "CofiModel",
    "MaskedOutput",
    "Masks",
]
