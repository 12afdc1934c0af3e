"""A kind of task: what a model's head answers, and all that follows from it.

Each file in ``tasks/kinds`` defines one, under the file's name. docs/adding-a-kind.md says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.encoding.texts import encode_rows
from cofi_cli.tasks.files.columns import (
    is_unlabelled,
    label_columns,
    one_label,
    read_texts,
    text_columns,
)
from cofi_cli.tasks.files.file import Ask, File, FileRows, Labels
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.metrics.basic import METRICS, finite
from cofi_cli.tasks.metrics.parts import Counts
from cofi_cli.tasks.rows import Split

Names = Sequence[str]
Scores = dict[str, float]
Shape = tuple[int, ...]


class Fitted(Protocol):
    """What a fine-tuned checkpoint's configuration says of its head."""

    @property
    def name(self) -> str:
        """Its folder or hub id."""

    @property
    def head(self) -> str:
        """Kind of head, as :data:`cofi_cli.modeling.HEADS` names it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs, in their order."""

    @property
    def problem_type(self) -> str | None:
        """As transformers' configurations have it."""

    @property
    def is_ranker(self) -> bool:
        """Whether sentence-transformers calls it a cross-encoder."""


class Kind:
    """One kind. Defaults are those of texts, or pairs of texts, with one answer a row.

    Attributes:
        name: the file's name; ``--kind NAME``.
        summary: what is predicted, for messages.
        head: kind of head, as :data:`cofi_cli.modeling.HEADS` names it.
        outputs: width of the head; ``None`` = one per label.
        problem_type: as transformers' configurations have it.
        trained_as: the problem type of the loss against labels, where that is another.
        soft_loss: the loss against a teacher, as ``training/objective.py`` names it.
        metrics: of own files, the headline first.
        agreement: the measure of agreement with a teacher; completes "It is ...".
        group_name: what hold-out keeps on one side.
        group_at: place of that text in a row; ``None`` = the whole row.
        pipeline: transformers' pipeline and the hub's tag.
        auto: the Auto class that opens such a model.
        library: what opens a model's folder.
        is_cross_encoder: whether sentence-transformers opens it as a cross-encoder.
        preset: for own files; ``None`` = by their number of rows.
        suffixes: extensions of own files that show the kind.
        has_many_columns: whether labels may stand in several columns.
        has_labels: whether it can be learned from labels; if not, from a teacher alone.
        per_token, has_windows: whether each token is answered; whether a long row becomes several.
        keeps_order: whether the answer depends on the place of words in the text.
        pair: names of the two texts of a row, for a kind that takes pairs only.
        bag: the part of a row that word vectors alone read: ``text``, or ``words`` one by one;
            ``None`` = they cannot answer.
        kept_as: numpy's type of the teacher's answers that scores are held against.
    """

    name: str
    summary: str
    head = "sequence"
    outputs: int | None = None
    problem_type: str | None = None
    trained_as: str | None = None
    soft_loss = "classes"
    metrics: tuple[str, ...]
    agreement: str
    group_name = "texts"
    group_at: int | None = None
    pipeline = "text-classification"
    auto = "AutoModelForSequenceClassification"
    library = "transformers"
    is_cross_encoder = False
    preset: str | None = None
    suffixes: tuple[str, ...] = ()
    has_many_columns = False
    has_labels = True
    per_token = has_windows = False
    keeps_order = False
    pair: tuple[str, ...] = ()
    bag: str | None = "text"
    kept_as = "float32"

    def __str__(self) -> str:
        return self.name

    def shown_by(self, values: Sequence[object]) -> bool:
        """Whether labels look like this kind's, so that it need not be named."""
        return False

    def read(self, file: File, ask: Ask) -> FileRows:
        """Read one of the user's files: csv, tsv, jsonl, parquet, or texts alone in a .txt.

        Raises:
            CofiError: no such file (exit code 6), or a fault in it; names its line.
        """
        if file.is_plain and ask.takes_plain:
            return FileRows(Split(self._plain(file), None))
        table = file.table
        text = ask.like.text if ask.like else self.texts_of(table, ask.config)
        texts: list[tuple[str, ...]] = read_texts(table, text)
        bare = FileRows(Split(texts, None), text=text)
        if ask.is_bare:
            return bare
        label = ask.like.label if ask.like else label_columns(table, ask, text)
        if ask.may_lack and is_unlabelled(table, label):
            return bare
        for column in label:
            table.column(column, hint=f"The training file's label column is '{column}'.")
        if not self.has_many_columns:
            one_label(ask.config, self.name)
        found = self.labels_of(table, label, ask)
        return FileRows(Split(texts, found.values), ask.origin(file.path), text, label, found)

    def _plain(self, file: File) -> list[tuple[str, ...]]:
        """Return the rows of a .txt."""
        if self.pair:
            raise CofiError(
                f"{file.path}: a .txt holds one text a line; --kind {self.name} needs "
                f"{' and '.join(self.pair)}.",
                hint="Give a file with both columns: csv, tsv, jsonl or parquet.",
            )
        return [(line,) for line in file.lines]

    def texts_of(self, table: Table, config: TaskConfig) -> tuple[str, ...]:
        """Return the text columns of a table.

        Raises:
            CofiError: a column is missing, or cannot be guessed; lists the columns.
        """
        text = text_columns(table, config)
        if self.pair and len(text) != 2:
            raise CofiError(
                f"{table.path}: rows of --kind {self.name} have two text columns, "
                f"{' and '.join(self.pair)}; found is {', '.join(text)}. "
                f"Its columns: {', '.join(table.columns)}.",
                hint="Name both: --text COLUMN --text COLUMN",
            )
        return text

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read the label columns of a table; ``ask`` says what is known of the labels."""
        raise NotImplementedError

    def measured(self, splits: Mapping[str, Split]) -> tuple[tuple[str, ...], list[str]]:
        """Return the metrics of own files, and what a reader of the scores must know.

        Raises:
            CofiError: there is nothing to score.
        """
        return self.metrics, []

    def options(self, config: TaskConfig) -> dict[str, Any]:
        """Return what :meth:`encode` takes beside ``max_length``."""
        return {}

    def prepared(self, tokenizer: Any) -> Any:
        """Return a tokenizer as the kind needs it; this one belongs beside the model."""
        return tokenizer

    def encode(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise a split.

        Raises:
            CofiError: the tokenizer does not serve this kind, or takes fewer tokens.
        """
        if max_length > tokenizer.model_max_length:
            raise CofiError(
                f"task.max_length is {max_length}, but this model takes at most "
                f"{tokenizer.model_max_length} tokens.",
                hint=f"Add --set task.max_length={tokenizer.model_max_length}",
            )
        return self.rows_of(split, tokenizer, max_length, **options)

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise a split for :meth:`encode`."""
        return encode_rows(split, tokenizer, max_length)

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score outputs, in points.

        Args:
            outputs: (rows, C), or a :class:`~cofi_cli.tasks.encoded.Ragged` of (length, C).
            reference: what :attr:`Encoded.reference` of the same rows holds.
            labels: names of the outputs.
            metrics: what to return.

        Raises:
            ValueError: the shapes do not fit, or an output is not finite.
        """
        gold = np.asarray(reference).reshape(-1)
        width = self.outputs or len(labels)
        answers = finite(np.asarray(outputs, dtype=np.float64).reshape(-1, width), len(gold))
        predicted = self._predicted(answers)
        return {name: 100.0 * METRICS[name](gold, predicted) for name in metrics}

    def units(self, reference: Any) -> int:
        """Return how many independent parts the rows have: rows, sentences, contexts, queries."""
        return len(reference)

    def some(self, outputs: Any, reference: Any, kept: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return outputs and reference, as :meth:`score` takes them, of some of the units.

        Args:
            kept: (units,) which.
        """
        return np.asarray(outputs)[kept], reference[kept]

    def judged_labels(self, labels: Names) -> tuple[str, ...]:
        """Return the names that :meth:`counts` has, of the names of the outputs."""
        return ()

    def counts(self, outputs: Any, reference: Any, labels: Names) -> dict[str, Counts]:
        """Return how often each label was given and meant; of kinds without labels nothing.

        The arguments are those of :meth:`score`.
        """
        return {}

    def _predicted(self, answers: Any) -> Any:
        """Return what is compared with the labels, of answers, (rows, C)."""
        return answers.argmax(1)

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return how far outputs agree with a teacher's, as in :meth:`score`; 1.0 = wholly."""
        return float(np.mean(ours.argmax(-1) == theirs.argmax(-1)))

    def group(self, row: tuple[str, ...]) -> str:
        """Return what of a row hold-out keeps on one side."""
        return "\x1f".join(row) if self.group_at is None else row[self.group_at]

    def constant_score(self, encoded: Encoded, labels: Names, metrics: Names) -> float | None:
        """Return the headline metric of the best constant answer; ``None`` = there is none."""
        gold = np.asarray(encoded.labels)
        outputs = np.tile(self._constant(gold, len(labels)), (len(encoded), 1))
        return self.score(outputs, encoded.reference, labels, metrics)[metrics[0]]

    def _constant(self, gold: Any, classes: int) -> Any:
        """Return the best answer, (C,), to all rows of these labels."""
        answer = np.zeros(classes, dtype=np.float32)
        answer[np.bincount(gold, minlength=classes).argmax()] = 1.0
        return answer

    def answer_shape(self, batch: Shape, answer: Shape, labels: int) -> Shape:
        """Return the shape that answers have to have; without labels they are of any width.

        Args:
            batch: of the token ids.
            answer: what was answered.
            labels: width of the head.
        """
        width = labels if self.has_labels else answer[-1]
        return (*batch, width) if self.per_token else (batch[0], width)

    def fits(self, teacher: Fitted) -> int:
        """Return whether a teacher's outputs are of this kind: 0 no, 1 perhaps, 2 likely."""
        return 2 if teacher.head == self.head else 0
