"""Pairs as rows, and what embeddings are worth: rank correlation with people's ratings."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.kinds.specs import Scored
from cofi_cli.tasks.kinds.texts import encode_rows
from cofi_cli.tasks.metrics.basic import METRICS, cosines
from cofi_cli.tasks.rows import Split


def encode_embedding(split: Split, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise each text as a row: pair i becomes rows 2i and 2i + 1, its rating the gold."""
    texts: list[tuple[str, ...]] = [(text,) for text in chain.from_iterable(split.texts)]
    encoded = encode_rows(Split(texts, None), tokenizer, max_length)
    gold = None if split.labels is None else np.asarray(split.labels, dtype=np.float64)
    return replace(encoded, gold=gold)


def score_embedding(task: Scored, outputs: Any, reference: Any) -> dict[str, float]:
    """Score embeddings, (rows, e), in points.

    Args:
        task: names the metrics.
        outputs: of all rows.
        reference: ratings of the pairs, (rows / 2,).

    Raises:
        ValueError: rows are missing or too many, or an embedding is not finite.
    """
    from cofi_cli.tasks.metrics.basic import finite

    gold = np.asarray(reference, dtype=np.float64)
    vectors = finite(np.asarray(outputs, dtype=np.float64), 2 * len(gold))
    found = cosines(vectors[0::2], vectors[1::2])
    return {name: 100.0 * METRICS[name](gold, found) for name in task.metrics}
