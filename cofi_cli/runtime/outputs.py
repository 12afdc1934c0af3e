"""Of the outputs of a graph, the one array that is scored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

STATES = "last_hidden_state"
"""The states of all tokens: what an encoder answers, and an embedder beside its answer."""


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
