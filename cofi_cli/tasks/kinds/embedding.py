"""A vector a text, learned from a teacher's; rated pairs to score it by.

No label is read for training. A pair's texts are two rows; what is scored is how well the
cosines of the pairs' embeddings rank with people's ratings of their similarity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.config import TaskConfig
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.files.columns import read_cells, text_columns
from cofi_cli.tasks.files.file import Ask, File, FileRows
from cofi_cli.tasks.kind import Names, Scores
from cofi_cli.tasks.kinds.regression import Regression
from cofi_cli.tasks.metrics.basic import METRICS, cosines, finite
from cofi_cli.tasks.rows import Split


class Embedding(Regression):
    """Texts to train on, rated pairs of texts to score on."""

    name = "embedding"
    summary = "a vector a text"
    head = "embedding"
    problem_type = None
    soft_loss = "vectors"
    metrics = ("spearman", "pearson")
    agreement = "the mean cosine of its embeddings to the teacher's"
    pipeline = "sentence-similarity"
    auto = "AutoModel"
    library = "sentence-transformers"
    preset = "embedding"
    has_labels = False
    pair = ("sentence1", "sentence2")

    def shown_by(self, values: Sequence[object]) -> bool:
        """Return no: numbers look like a regression's."""
        return False

    def read(self, file: File, ask: Ask) -> FileRows:
        """Read texts, each once, of which each text column gives rows; or rated pairs."""
        if ask.is_bare:
            return bare_texts(file, ask.config)
        config = ask.config
        if len(config.text) != 2:  # names the texts' column
            config = config.model_copy(update={"text": ()})
        return super().read(file, replace(ask, config=config))

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise each text as a row: pair i becomes rows 2i and 2i + 1, its rating the gold."""
        texts: list[tuple[str, ...]] = [(text,) for text in chain.from_iterable(split.texts)]
        encoded = super().rows_of(Split(texts, None), tokenizer, max_length)
        gold = None if split.labels is None else np.asarray(split.labels, dtype=np.float64)
        return replace(encoded, gold=gold)

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score embeddings, (rows, e), by ratings of the pairs, (rows / 2,)."""
        gold = np.asarray(reference, dtype=np.float64)
        vectors = finite(np.asarray(outputs, dtype=np.float64), 2 * len(gold))
        found = cosines(vectors[0::2], vectors[1::2])
        return {name: 100.0 * METRICS[name](gold, found) for name in metrics}

    def some(self, outputs: Any, reference: Any, kept: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return the embeddings and ratings of some of the pairs."""
        return np.asarray(outputs)[np.repeat(kept, 2)], reference[kept]

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the mean cosine."""
        return float(cosines(ours, theirs).mean())


def bare_texts(file: File, config: TaskConfig) -> FileRows:
    """Return texts, each once: the lines of a .txt, or the cells of a table's text columns.

    Raises:
        CofiError: no such file (exit code 6), a fault in it, or no text column.
    """
    if file.is_plain:
        texts: Iterable[str] = file.lines
    else:
        columns = text_columns(file.table, config)
        rows = zip(*(read_cells(file.table, column) for column in columns), strict=True)
        texts = chain.from_iterable(rows)
    return FileRows(Split([(text,) for text in distinct(texts)], None))


def distinct(texts: Iterable[str]) -> list[str]:
    """Return texts in their order, each once; what holds only spaces is left out."""
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))


KIND = Embedding()
