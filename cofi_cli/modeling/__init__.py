"""The encoder and its configuration; travels inside checkpoints.

Imports nothing of the rest of the package.
"""

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
