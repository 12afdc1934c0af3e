"""A tag a word, such as named entities."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded, Ragged
from cofi_cli.tasks.encoding.words import NOWHERE, encode_words, for_words
from cofi_cli.tasks.files.columns import text_columns
from cofi_cli.tasks.files.conll import WORDS, read_sentences, tagged
from cofi_cli.tasks.files.file import Ask, File, FileRows, Labels
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Kind, Names, Scores
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.parts import Counts
from cofi_cli.tasks.metrics.tags import (
    OUTSIDE,
    entity_counts,
    entity_scores,
    iob2_tags,
    kind_of,
)
from cofi_cli.tasks.rows import Split


class Tokens(Kind):
    """Sentences of words, each with a tag."""

    name = "tokens"
    summary = "a tag a word"
    head = "token"
    metrics = ("entity_f1", "precision", "recall", "accuracy")
    agreement = "F1 of its tags against the teacher's, the teacher's commonest tag left out"
    pipeline = "token-classification"
    auto = "AutoModelForTokenClassification"
    preset = "tokens"
    suffixes = (".conll", ".bio", ".iob", ".iob2")
    per_token = has_windows = keeps_order = True
    bag = "words"

    def read(self, file: File, ask: Ask) -> FileRows:
        """Read tagged words: a column file, or jsonl and parquet with lists.

        Of texts without tags, words are also what stands between spaces. A teacher's ``labels``
        are not looked at: the types of entities are those of the file.
        """
        if file.is_plain and ask.takes_plain:
            return FileRows(Split([tuple(line.split()) for line in file.lines], None))
        if ask.is_bare and file.suffix not in self.suffixes:
            return FileRows(Split(_word_rows(file.table, ask.config), None))
        sentences = read_sentences(file.path, ask.config, needs_tags=not ask.takes_plain)
        if ask.is_bare or sentences.tags is None:
            return FileRows(Split([*sentences.words], None))
        origin = ask.like.origin if ask.like else str(file.path)
        split, types = tagged(sentences, ask.like.labels.how if ask.like else None, origin)
        return FileRows(split, origin, labels=Labels(split.labels, iob2_tags(types), how=types))

    def prepared(self, tokenizer: Any) -> Any:
        """Return a tokenizer that takes one word like another."""
        return for_words(tokenizer)

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise words; a long row becomes several."""
        return encode_words(split, tokenizer, max_length)

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score a tag a word; a word that the tokenizer makes nothing of counts as O."""
        scores = entity_scores(*_tags(outputs, reference, labels))
        return {name: 100.0 * scores[name] for name in metrics}

    def units(self, reference: Any) -> int:
        """Return the number of sentences."""
        return len(reference.tags)

    def some(self, outputs: Any, reference: Any, kept: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return all outputs, and what some of the sentences are scored against."""
        places = reference.places[np.repeat(kept, reference.tags.lengths)]
        return outputs, replace(reference, tags=reference.tags.take(kept), places=places)

    def judged_labels(self, labels: Names) -> tuple[str, ...]:
        """Return the types of entities."""
        return tuple(dict.fromkeys(kind for label in labels if (kind := kind_of(label))))

    def counts(self, outputs: Any, reference: Any, labels: Names) -> dict[str, Counts]:
        """Return the counts of each type of entities."""
        return entity_counts(*_tags(outputs, reference, labels), self.judged_labels(labels))

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the F1 of the tags of tokens between a row's special ones; 1.0 without any.

        The teacher's commonest tag counts for nothing: most tokens are O, for any model.
        """
        inner = np.ones(len(ours.flat), dtype=np.bool_)
        inner[ours.ends[:-1]] = inner[ours.ends[1:] - 1] = False
        found, wanted = ours.flat.argmax(-1)[inner], theirs.flat.argmax(-1)[inner]
        common = np.bincount(wanted, minlength=1).argmax()
        counted = np.count_nonzero(found != common) + np.count_nonzero(wanted != common)
        same = np.count_nonzero((found == wanted) & (wanted != common))
        return 2 * same / counted if counted else 1.0

    def constant_score(self, encoded: Encoded, labels: Names, metrics: Names) -> float | None:
        """Return what the commonest tag gets."""
        gold = np.asarray(encoded.labels.flat)  # type: ignore[union-attr]
        answer = self._constant(gold[gold >= 0], len(labels))
        outputs = Ragged([np.tile(answer, (n, 1)) for n in encoded.lengths], dtype=np.float32)
        return self.score(outputs, encoded.reference, labels, metrics)[metrics[0]]


def _tags(
    outputs: Any, reference: Any, labels: Sequence[str]
) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """Return the tags of each sentence by name, as they are and as they are answered.

    Answered is the likeliest tag of a word's first sub-word, and O where it has none.
    """
    logits = finite(np.asarray(outputs.flat, dtype=np.float64), reference.tokens)
    outside = list(labels).index(OUTSIDE)
    best = np.where(reference.places == NOWHERE, outside, logits.argmax(-1)[reference.places])
    predicted = Ragged.over(best, reference.tags.lengths)
    names = np.asarray(labels, dtype=object)
    return [names[row] for row in reference.tags], [names[row] for row in predicted]


def _word_rows(table: Table, config: TaskConfig) -> list[tuple[str, ...]]:
    """Return the words of a table's rows: lists, or texts."""
    usual = next(((name,) for name in WORDS if name in table.columns), ())
    (column, *_) = config.text or usual or text_columns(table, config)
    rows = []
    for row, value in enumerate(table.column(column, hint="Name it with --text COLUMN.")):
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise CofiError(
                f"{table.place(row)}: the text (column '{column}') is neither text nor a list of "
                "words."
            )
        if words:
            rows.append(tuple(words))
    return rows


KIND = Tokens()
