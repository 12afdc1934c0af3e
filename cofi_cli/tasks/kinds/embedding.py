"""A vector a text, learned from a teacher's; rated pairs to score it by.

No label is read for training. A pair's texts are two rows; what is scored is how well the
cosines of the pairs' embeddings rank with people's ratings of their similarity.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.kind import Kind, Shape
from cofi_cli.tasks.metrics.basic import METRICS, cosines, finite
from cofi_cli.tasks.rows import Split


class Embedding(Kind):
    """Texts to train on, rated pairs of texts to score on."""

    name = "embedding"
    summary = "a vector a text"
    head = "embedding"
    outputs = 1
    soft_loss = "vectors"
    metrics = ("spearman", "pearson")
    agreement = "the mean cosine of its embeddings to the teacher's"
    pipeline = "sentence-similarity"
    auto = "AutoModel"
    library = "sentence-transformers"
    preset = "embedding"
    has_labels = False

    def _encode(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise each text as a row: pair i becomes rows 2i and 2i + 1, its rating the gold."""
        texts: list[tuple[str, ...]] = [(text,) for text in chain.from_iterable(split.texts)]
        encoded = super()._encode(Split(texts, None), tokenizer, max_length)
        gold = None if split.labels is None else np.asarray(split.labels, dtype=np.float64)
        return replace(encoded, gold=gold)

    def score(
        self, outputs: Any, reference: Any, labels: Sequence[str], metrics: Sequence[str]
    ) -> dict[str, float]:
        """Score embeddings, (rows, e), by ratings of the pairs, (rows / 2,)."""
        gold = np.asarray(reference, dtype=np.float64)
        vectors = finite(np.asarray(outputs, dtype=np.float64), 2 * len(gold))
        found = cosines(vectors[0::2], vectors[1::2])
        return {name: 100.0 * METRICS[name](gold, found) for name in metrics}

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the mean cosine."""
        return float(cosines(ours, theirs).mean())

    def constant_score(
        self, encoded: Encoded, labels: Sequence[str], metrics: Sequence[str]
    ) -> float | None:
        """Return 0: a constant does not correlate."""
        return 0.0

    def answer_shape(self, batch: Shape, answer: Shape, labels: int) -> Shape:
        """Return a vector a row, of any width."""
        return (batch[0], answer[-1])

    def fits(self, teacher: Any) -> int:
        """Return 0: an embedder has no labels to name."""
        return 0


KIND = Embedding()
