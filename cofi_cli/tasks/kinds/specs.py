"""Kinds of task: what a model's head answers, and what transformers calls that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cofi_cli.config import Kind

__all__ = ["KINDS", "Kind", "KindSpec", "Scored"]


@dataclass(frozen=True)
class KindSpec:
    """One kind.

    Attributes:
        summary: what is predicted, for messages.
        head: kind of head, as :data:`cofi_cli.modeling.HEADS` names it.
        outputs: width of the head; ``None`` = one per label.
        problem_type: as transformers' configurations have it.
        pipeline: transformers' pipeline and the hub's tag.
        auto: the Auto class that opens such a model.
    """

    summary: str
    head: str
    outputs: int | None
    problem_type: str | None
    pipeline: str
    auto: str


class Scored(Protocol):
    """What a scorer reads of a task."""

    @property
    def kind(self) -> Kind:
        """What the model's head predicts."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of their indices."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the headline first."""

    @property
    def num_labels(self) -> int:
        """Width of the model's head."""


_SEQUENCE = ("text-classification", "AutoModelForSequenceClassification")

KINDS: Mapping[Kind, KindSpec] = {
    "classification": KindSpec(
        "one class a row", "sequence", None, "single_label_classification", *_SEQUENCE
    ),
    "regression": KindSpec("a number a row", "sequence", 1, "regression", *_SEQUENCE),
    "multilabel": KindSpec(
        "any number of classes a row", "sequence", None, "multi_label_classification", *_SEQUENCE
    ),
    "ranking": KindSpec(
        "how well a text answers a query", "sequence", 1, "regression",
        "text-ranking", "AutoModelForSequenceClassification",
    ),
    "tokens": KindSpec(
        "a tag a word", "token", None, None,
        "token-classification", "AutoModelForTokenClassification",
    ),
    "span": KindSpec(
        "where the answer lies in a context", "span", 2, None,
        "question-answering", "AutoModelForQuestionAnswering",
    ),
    "embedding": KindSpec(
        "a vector a text", "embedding", 1, None, "sentence-similarity", "AutoModel"
    ),
}  # fmt: skip
