"""The task's metric of an ONNX file on the dev set, through the session that was timed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.runs import read_json
from cofi_cli.runs.records import PartScore, ScoreRow
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Batch, Rows, by_length, pad
from cofi_cli.runtime.model import Model
from cofi_cli.tasks import Ragged
from cofi_cli.tasks.teacher.taught import label_names, renumbered, say_nothing

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)

BATCH_SIZE = 32
"""Rows at once where their number changes no answer."""


@dataclass(frozen=True)
class DevSet:
    """A task's dev set in a model's tokens; read once for all files that share a tokenizer.

    Attributes:
        rows: the tokens.
        reference: what is to be answered.
        pad_id: of padding.
        count: of the split's rows; a long one may be several windows of tokens.
        task: whose dev set it is, labels numbered as the model's are.
        sizes: batch sizes that a model is used at; see :func:`score_model`.
    """

    rows: Rows
    reference: Any
    pad_id: int
    count: int
    task: Task
    sizes: Sequence[int] = (BATCH_SIZE,)

    @classmethod
    def of(
        cls,
        task: Task,
        tokenizer: Any,
        *,
        limit: int | None = None,
        sizes: Sequence[int] = (BATCH_SIZE,),
    ) -> DevSet:
        """Tokenise the validation split, or its first ``limit`` rows.

        Raises:
            CofiError: it has no labels.
        """
        encoded = task.encode("validation", tokenizer, limit=limit)
        if encoded.reference is None:
            raise CofiError(
                f"The validation split of task '{task.name}' has no labels to score with."
            )
        rows = Rows.of(encoded, f"{task.name} validation")
        count = len(task.splits["validation"].texts[:limit])
        pad_id = int(tokenizer.pad_token_id or 0)
        return cls(rows, encoded.reference, pad_id, count, task, tuple(sizes))


def dev_sets(
    models: Sequence[Model], task: Task, *, limit: int | None, sizes: Sequence[int]
) -> dict[str, DevSet]:
    """Return the dev set of each model, by its name; tokenizers that lie beside several read once.

    Args:
        models: to be scored.
        task: whose validation split it is.
        limit: number of rows from its start; ``None`` = all.
        sizes: batch sizes that the models are used at.

    Raises:
        CofiError: no labels, or no tokenizer.
    """
    from cofi_cli.architectures import load_tokenizer

    known: dict[Path, DevSet] = {}
    for model in models:
        place = model.tokenizer
        if place in known:
            continue
        try:
            tokenizer = load_tokenizer(str(place))
        except CofiError as error:
            raise CofiError(
                f"{model.name} cannot be scored, since its folder has no tokenizer: "
                f"{error.message}",
                hint="Copy the tokenizer's files there, or leave scores out with --no-score.",
                exit_code=error.exit_code,
            ) from error
        file = place / "config.json"
        config = read_json(file) if file.is_file() else {}
        own = as_numbered(task, config if isinstance(config, dict) else {}, model.name)
        known[place] = DevSet.of(own, tokenizer, limit=limit, sizes=sizes)
    return {model.name: known[model.tokenizer] for model in models}


def as_numbered(task: Task, config: Mapping[str, Any], name: str) -> Task:
    """Return a task whose labels are numbered as a model's are.

    Labels of other names are taken by their numbers, and that is said, unless the names in the
    configuration's ``id2label`` say nothing themselves, such as ``LABEL_0``.
    """
    labels = label_names(config)
    if not task.labels or len(labels) != len(task.labels):  # as many outputs are asked elsewhere
        return task
    own = renumbered(task, labels)
    if own is not None:
        return own
    if not say_nothing(labels) and not all(label.isdecimal() for label in task.labels):
        pairs = ", ".join(f"{a} is {b}" for a, b in zip(labels, task.labels, strict=True))
        logger.warning(
            "Labels of %s are taken by their numbers for task %s: %s.", name, task.name, pairs
        )
    return task


class NotANumber(CofiError):
    """A model answers with numbers that are infinite or none (exit code 4)."""


def check_head(worker: WorkerClient, model: Model, dev: DevSet) -> None:
    """Ask a model for the shortest row, and see whether it answers as the task needs it.

    Raises:
        CofiError: a head that does not fit the task.
    """
    shortest = by_length(dev.rows, 1)[0]
    batch = pad(dev.rows, shortest, pad_id=dev.pad_id)
    _check_shape(worker.logits(batch), batch, dev.task, model.name)


def score_model(worker: WorkerClient, model: Model, dev: DevSet) -> ScoreRow:
    """Score one model in points, 0 to 100.

    A file in 8 bits that scales its activations by what is in a batch answers a row
    otherwise beside other rows. It is scored at each batch size that it is used at, and
    its lowest score counts.

    Raises:
        CofiError: a head that does not fit the task (2), or answers that are no numbers (4).
    """
    if not (model.runtime == "onnxruntime" and model.graph.scales_by_batch):
        return _score_at(BATCH_SIZE, worker, model, dev)
    found = []
    for size in dict.fromkeys(dev.sizes):
        row = _score_at(size, worker, model, dev)
        found.append(row.model_copy(update={"batch": size}))
    return min(found, key=lambda row: row.score)


def _score_at(size: int, worker: WorkerClient, model: Model, dev: DevSet) -> ScoreRow:
    rows, task = dev.rows, dev.task
    answers: list[np.ndarray] = [np.empty(0)] * len(rows)
    for indices in by_length(rows, size):
        batch = pad(rows, indices, pad_id=dev.pad_id)
        answer = worker.logits(batch)
        _check_shape(answer, batch, task, model.name)
        for place, row in enumerate(indices):
            length = len(rows.input_ids[row])
            answers[row] = answer[place, :length] if answer.ndim == 3 else answer[place]
            if not np.isfinite(answers[row]).all():
                raise NotANumber(
                    f"{model.name} answers row {row} of the dev set with what is no finite number.",
                    hint="Leave scores out with --no-score, or export it again: "
                    "cofi export --onnx --precision fp32",
                    exit_code=PARITY,
                )
    outputs = Ragged(answers, dtype=np.float32) if answer.ndim == 3 else np.stack(answers)
    scores = task.score(outputs, dev.reference)
    parts = task.part_scores(outputs, dev.reference)
    metric = task.metrics[0]
    return ScoreRow(
        model=model.name,
        task=task.name,
        metric=metric,
        score=scores[metric],
        scores=scores,
        scores_without=task.scores_without(outputs, dev.reference),
        parts={name: PartScore(score=part.score, rows=part.rows) for name, part in parts.items()},
        rows=dev.count,
        rows_in_all=len(task.splits["validation"]),
    )


def _check_shape(answer: np.ndarray, batch: Batch, task: Task, name: str) -> None:
    """Refuse answers of another head than the task's.

    Raises:
        CofiError: stating both shapes.
    """
    wanted = task.kind.answer_shape(batch["input_ids"].shape, answer.shape, task.num_labels)
    if answer.shape != wanted:
        raise CofiError(
            f"{name} answers with shape {answer.shape[1:]} per row; "
            f"task '{task.name}' needs {wanted[1:]}.",
            hint="Name the task that it was trained on with --task, or leave scores out with "
            "--no-score.",
        )
