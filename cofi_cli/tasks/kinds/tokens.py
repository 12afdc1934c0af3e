"""A tag a word, such as named entities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.tasks.encoded import Encoded, Ragged
from cofi_cli.tasks.encoding.words import encode_words, for_words
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.tags import OUTSIDE, entity_scores
from cofi_cli.tasks.rows import Split


class Tokens(Kind):
    """Sentences of words, each with a tag."""

    name = "tokens"
    summary = "a tag a word"
    head = "token"
    metrics = ("entity_f1", "precision", "recall", "accuracy")
    agreement = "the share of tokens, special ones aside, where both give the same tag"
    pipeline = "token-classification"
    auto = "AutoModelForTokenClassification"
    preset = "tokens"
    suffixes = (".conll", ".bio", ".iob", ".iob2")
    per_token = keeps_order = True
    bag = "words"

    def prepared(self, tokenizer: Any) -> Any:
        """Return a tokenizer that takes one word like another."""
        return for_words(tokenizer)

    def _encode(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        return encode_words(split, tokenizer, max_length)

    def score(
        self, outputs: Any, reference: Any, labels: Sequence[str], metrics: Sequence[str]
    ) -> dict[str, float]:
        """Score a tag a word; a word that the tokenizer makes nothing of counts as O."""
        logits = finite(np.asarray(outputs.flat, dtype=np.float64), reference.tokens)
        predicted = reference.predicted(logits, missing=list(labels).index(OUTSIDE))
        names = np.asarray(labels, dtype=object)
        scores = entity_scores(
            (names[row] for row in reference.tags), (names[row] for row in predicted)
        )
        return {name: 100.0 * scores[name] for name in metrics}

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the share of equal tags among the tokens between a row's special ones."""
        same = ours.flat.argmax(-1) == theirs.flat.argmax(-1)
        return float(np.mean(same[_inner(ours)]))

    def constant_score(
        self, encoded: Encoded, labels: Sequence[str], metrics: Sequence[str]
    ) -> float | None:
        """Return what the commonest tag gets."""
        gold = np.asarray(encoded.labels.flat)  # type: ignore[union-attr]
        answer = self._constant(gold[gold >= 0], len(labels))
        outputs = Ragged([np.tile(answer, (n, 1)) for n in encoded.lengths], dtype=np.float32)
        return self.score(outputs, encoded.reference, labels, metrics)[metrics[0]]


def _inner(rows: Ragged) -> NDArray[np.bool_]:
    """Return which tokens stand between the special ones at the ends of their row, (tokens,)."""
    inner = np.ones(len(rows.flat), dtype=np.bool_)
    inner[rows.ends[:-1]] = inner[rows.ends[1:] - 1] = False
    return inner


KIND = Tokens()
