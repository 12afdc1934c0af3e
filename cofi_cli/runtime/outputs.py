"""What the outputs of a graph are called, by kind of head, and the one array that is scored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "sequence": ("logits",),
    "token": ("logits",),
    "span": ("start_logits", "end_logits"),
    "embedding": ("last_hidden_state", "sentence_embedding"),
}
"""Kind of head -> names, those that optimum's classes and sentence-transformers look for."""


def answer_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what is scored: (B, C), (B, T, C) of a head that answers for each token.

    Start and end scores become (B, T, 2), an embedder's answer is its sentence embedding.
    A graph of somebody else's with other names is taken to answer with its first output.
    """
    if "start_logits" in outputs and "end_logits" in outputs:
        return np.stack([outputs["start_logits"], outputs["end_logits"]], axis=-1)
    for name in ("logits", "sentence_embedding"):
        if name in outputs:
            return outputs[name]
    return next(iter(outputs.values()))
