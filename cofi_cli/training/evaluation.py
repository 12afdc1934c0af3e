"""Predictions and scores of a model on a tokenised split."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cofi_cli.errors import enough_memory
from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.tasks import Encoded, Ragged, collate, eval_batches
from cofi_cli.training.processes import Processes
from cofi_cli.training.session import Session
from cofi_cli.training.stages.precision import autocast

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@torch.no_grad()
def predict(
    model: CofiForTask,
    encoded: Encoded,
    *,
    batch_size: int,
    pad_id: int,
    device: torch.device,
    masks: Masks | None = None,
    processes: Processes | None = None,
    precision: str = "fp32",
) -> NDArray[Any] | Ragged:
    """Return logits in the split's order, fp32: (rows, num_labels), or rows of (length, ...).

    Args:
        model: that answers.
        batch_size, pad_id, device: of batches.
        masks: of its units; ``None`` = all open.
        processes: that share the batches; ``None`` = this one runs all.
        precision: that the model computes in.
    """
    was_training = model.training
    model.eval()
    plan = eval_batches(encoded.lengths, batch_size=batch_size)
    found: list[tuple[int, NDArray[Any]]] = []
    setting = "--set train.eval_batch_size"
    for indices in plan if processes is None else processes.share(plan):
        with enough_memory("while scoring", batch_size=batch_size, setting=setting):
            batch = collate(encoded, indices, pad_id=pad_id, device=device)
            inputs: dict[str, Any] = {k: batch[k] for k in INPUTS}
            with autocast(precision, device):
                logits = model.run(**inputs, masks=masks).logits
            out = logits.float().cpu().numpy()
        for place, row in enumerate(indices):
            own = out[place, : encoded.lengths[row]] if model.per_token else out[place]
            found.append((row, own))
    model.train(was_training)
    if processes is not None:
        found = processes.gather(found)
    rows = [own for _, own in sorted(found, key=lambda pair: pair[0])]
    return Ragged(rows, dtype=np.float32) if model.per_token else np.stack(rows)


def answers(
    session: Session,
    model: CofiForTask,
    encoded: Encoded,
    *,
    masks: Masks | None = None,
    precision: str = "fp32",
) -> NDArray[Any] | Ragged:
    """Return a model's logits as :func:`predict` does; all processes take part."""
    return predict(
        model.to(session.device),
        encoded,
        batch_size=session.config.train.eval_batch_size,
        pad_id=session.pad_id,
        device=session.device,
        masks=masks,
        processes=session.processes,
        precision=precision,
    )


def evaluate(
    session: Session,
    model: CofiForTask,
    *,
    split: str = "validation",
    masks: Masks | None = None,
    precision: str = "fp32",
) -> dict[str, float]:
    """Return the task's metrics of a model on a split, in points.

    What a report states is computed in fp32; stages compare their own models in their precision.
    """
    encoded = session.splits[split]
    logits = answers(session, model, encoded, masks=masks, precision=precision)
    return session.processes.by_main(lambda: session.task.score(logits, encoded.reference))


def evaluate_in_groups(
    session: Session, model: CofiForTask, *, precision: str = "fp32"
) -> tuple[dict[str, float], list[float]]:
    """Return the metrics on the validation split, and the headline without each group of rows.

    Both are in points; the second is what :meth:`Task.scores_without` returns.
    """
    encoded, task = session.splits["validation"], session.task
    known = answers(session, model, encoded, precision=precision), encoded.reference
    return session.processes.by_main(lambda: (task.score(*known), task.scores_without(*known)))
