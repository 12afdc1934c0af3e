"""The task's metric of an ONNX file on the dev set, through the session that was timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.samples import Batch, Rows, by_length, pad
from cofi_cli.deploy.targets import Model
from cofi_cli.deploy.wire import pack, unpack
from cofi_cli.errors import CofiError
from cofi_cli.tasks import Ragged

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

BATCH_SIZE = 32


def score_model(
    worker: WorkerClient,
    model: Model,
    task: Task,
    *,
    limit: int | None = None,
    tokenizer: Any = None,
) -> dict[str, Any]:
    """Score one model in points, 0 to 100.

    Args:
        worker: runs it.
        model: the file, or checkpoint; the tokenizer is the one beside it.
        task: its validation split is the dev set.
        limit: the first so many rows only.
        tokenizer: instead of the one beside the file.

    Returns:
        ``model``, ``metric`` (the headline one), ``score``, all ``scores`` and ``rows``.

    Raises:
        CofiError: no labels, no tokenizer, or a head that does not fit the task.
    """
    from cofi_cli.architectures import load_tokenizer

    tokenizer = tokenizer or load_tokenizer(str(model.tokenizer))
    encoded = task.encode("validation", tokenizer, limit=limit)
    if encoded.reference is None:
        raise CofiError(f"The validation split of task '{task.name}' has no labels to score with.")
    rows = Rows.of(encoded, f"{task.name} validation")
    answers: list[np.ndarray] = [np.empty(0)] * len(rows)
    for indices in by_length(rows, BATCH_SIZE):
        batch = pad(rows, indices, pad_id=int(tokenizer.pad_token_id or 0))
        packed = {key: pack(value) for key, value in batch.items()}
        answer = unpack(worker.ask("logits", **packed)["logits"])
        _check_shape(answer, batch, task, model.name)
        for place, row in enumerate(indices):
            length = len(rows.input_ids[row])
            answers[row] = answer[place, :length] if answer.ndim == 3 else answer[place]
    outputs = Ragged(answers, dtype=np.float32) if answer.ndim == 3 else np.stack(answers)
    scores = task.score(outputs, encoded.reference)
    metric = task.metrics[0]
    return {
        "model": model.name,
        "task": task.name,
        "metric": metric,
        "score": scores[metric],
        "scores": scores,
        "rows": len(task.splits["validation"].texts[:limit]),
    }


def _check_shape(answer: np.ndarray, batch: Batch, task: Task, name: str) -> None:
    """Refuse answers of another head than the task's.

    Raises:
        CofiError: stating both shapes.
    """
    rows, length = batch["input_ids"].shape
    wanted: tuple[int, ...] = {
        "sequence": (rows, task.num_labels),
        "token": (rows, length, task.num_labels),
        "span": (rows, length, 2),
        "embedding": (rows, answer.shape[-1]),
    }[task.spec.head]
    if answer.shape != wanted:
        raise CofiError(
            f"{name} answers with shape {answer.shape[1:]} per row; "
            f"task '{task.name}' needs {wanted[1:]}.",
            hint="Name the task that it was trained on with --task, or leave scores out.",
        )
