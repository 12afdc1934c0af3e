"""Where in a context the answer to a question lies."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded
from cofi_cli.tasks.encoding.questions import encode_spans
from cofi_cli.tasks.files.file import Ask, File, FileRows
from cofi_cli.tasks.files.squad_json import read_questions
from cofi_cli.tasks.kind import Kind, Names, Scores
from cofi_cli.tasks.metrics.answers import span_scores
from cofi_cli.tasks.rows import Split

ANSWERED = ("f1", "exact_match")
"""Metrics where every question has an answer."""
WITH_NONE = (*ANSWERED, "best_f1", "best_exact_match")
"""Metrics where a question may have none."""
NONE_NOTE = (
    "f1 and exact_match answer where the best span scores at least as high as no answer "
    "(threshold 0); best_f1 and best_exact_match take the threshold that is best on these rows."
)


class Span(Kind):
    """Questions and contexts, each with its answers."""

    name = "span"
    summary = "where the answer lies in a context"
    head = "span"
    outputs = 2
    soft_loss = "span"
    metrics = ANSWERED
    agreement = "F1 of its spans, in tokens, against the teacher's"
    group_name = "contexts"
    group_at = 1
    pipeline = "question-answering"
    auto = "AutoModelForQuestionAnswering"
    preset = "squad"
    per_token = has_windows = keeps_order = True
    bag = None
    pair = ("question", "context")

    def read(self, file: File, ask: Ask) -> FileRows:
        """Read SQuAD's JSON, or a table with the columns of the hub's copy."""
        if ask.config.text or ask.config.label:
            raise CofiError(
                "--text and --label do not go with --kind span: "
                "the columns are question, context and answers.",
                hint="For example: --kind span --train train.json --validation dev.json",
            )
        if file.is_plain:
            self._plain(file)
        return FileRows(read_questions(file.path, unread=ask.is_bare, may_lack=ask.may_lack))

    def measured(self, splits: Mapping[str, Split]) -> tuple[tuple[str, ...], list[str]]:
        """Return what SQuAD 1.1 is scored by; where a question has no answer, 2.0."""
        if lacks_answers(splits):
            return WITH_NONE, [NONE_NOTE]
        return ANSWERED, []

    def options(self, config: TaskConfig) -> dict[str, Any]:
        """Return the tokens that neighbouring windows share."""
        return {"doc_stride": config.doc_stride}

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise questions and contexts; a long context becomes several rows."""
        return encode_spans(split, tokenizer, max_length, **options)

    def score(self, outputs: Any, reference: Any, labels: Names, metrics: Names) -> Scores:
        """Score start and end, a row of (length, 2) a feature."""
        found = span_scores(outputs, reference, has_none="best_f1" in metrics)
        return {name: 100.0 * found[name] for name in metrics}

    def units(self, reference: Any) -> int:
        """Return the number of contexts: questions on one are not independent."""
        return len(reference.contexts)

    def some(self, outputs: Any, reference: Any, kept: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return the features and answers of the questions on some of the contexts."""
        asked = kept[reference.context_of]
        features = asked[reference.question_of]
        number = np.cumsum(asked) - 1
        return outputs.take(features), replace(
            reference,
            context_of=reference.context_of[asked],
            answers=[reference.answers[question] for question in np.flatnonzero(asked)],
            question_of=number[reference.question_of[features]],
            windows=reference.windows[features],
        )

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return the mean F1 of the best spans, in tokens."""
        pairs = zip(ours, theirs, strict=True)
        return float(np.mean([_span_f1(_best_span(a), _best_span(b)) for a, b in pairs]))

    def constant_score(self, encoded: Encoded, labels: Names, metrics: Names) -> float | None:
        """Return ``None``: no place is right in all contexts."""
        return None


def lacks_answers(splits: Mapping[str, Split]) -> bool:
    """Whether a question is known to have no answer."""
    return any(answers == [] for split in splits.values() for answers in split.labels or ())


def _best_span(scores: NDArray[Any]) -> tuple[int, int]:
    """Return first and last token of the best span, start no later than end; scores are (T, 2)."""
    start, end = scores[:, 0].astype(np.float64), scores[:, 1].astype(np.float64)
    best_start = np.maximum.accumulate(start)
    last = int((best_start + end).argmax())
    return int(start[: last + 1].argmax()), last


def _span_f1(one: tuple[int, int], other: tuple[int, int]) -> float:
    both = min(one[1], other[1]) - max(one[0], other[0]) + 1
    sizes = one[1] - one[0] + 1 + other[1] - other[0] + 1
    return 2 * max(0, both) / sizes


KIND = Span()
