"""The task's metric of an ONNX file on the dev set, through the session that was timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.samples import by_length, pad, task_rows
from cofi_cli.deploy.targets import Model
from cofi_cli.errors import CofiError

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

    labels = task.splits["validation"].labels
    if labels is None:
        raise CofiError(f"The validation split of task '{task.name}' has no labels to score with.")
    tokenizer = tokenizer or load_tokenizer(str(model.tokenizer))
    rows = task_rows(task, tokenizer, limit=limit)
    logits = np.empty((len(rows), task.num_labels), dtype=np.float32)
    for indices in by_length(rows, BATCH_SIZE):
        batch = pad(rows, indices, pad_id=int(tokenizer.pad_token_id or 0))
        lists = {key: value.tolist() for key, value in batch.items()}
        answer = np.asarray(worker.ask("logits", **lists)["logits"], dtype=np.float32)
        if answer.shape[1:] != (task.num_labels,):
            raise CofiError(
                f"{model.name} answers with shape {answer.shape[1:]} per row; "
                f"task '{task.name}' needs ({task.num_labels},).",
                hint="Name the task that it was trained on with --task, or leave scores out.",
            )
        logits[indices] = answer
    dtype = np.float32 if task.kind == "regression" else np.int64
    scores = task.score(logits, np.asarray(labels[: len(rows)], dtype=dtype))
    metric = task.metrics[0]
    return {
        "model": model.name,
        "task": task.name,
        "metric": metric,
        "score": scores[metric],
        "scores": scores,
        "rows": len(rows),
    }
