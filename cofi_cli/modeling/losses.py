"""Losses against labels, the same in training and in ``forward(labels=...)``."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = -100
"""Label of a token that no loss looks at."""
CLOSED = -1e4
"""Logit of a padding position; its probability is 0 in fp32."""


def sequence_loss(logits: Tensor, labels: Tensor, problem_type: Optional[str] = None) -> Tensor:
    """Return the loss of a pooled head, a scalar.

    Args:
        logits: (B, C).
        labels: (B,) classes; (B,) or (B, C) numbers; (B, C) of 0 to 1 where several may hold.
        problem_type: as transformers' configurations have it. ``None`` reads it off as BERT's
            classes do: one output is a regression, whole numbers are classes, and anything
            else is several labels at once.
    """
    if problem_type is None:
        is_whole = not labels.is_floating_point()
        single = "single_label_classification" if is_whole else "multi_label_classification"
        problem_type = "regression" if logits.shape[-1] == 1 else single
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits, labels.flatten())
    labels = labels.to(logits.dtype).view_as(logits)
    if problem_type == "regression":
        return F.mse_loss(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the tokens that carry a label, 0 without any.

    Args:
        logits: (B, T, C).
        labels: (B, T) classes; :data:`IGNORE` = none.
    """
    return _mean_cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore=IGNORE)


def span_loss(logits: Tensor, positions: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    """Return the mean cross-entropy of where the answer starts and ends, a scalar.

    Args:
        logits: (B, T, 2), of start and end.
        positions: (B, 2); one beyond the row is left out.
        mask: (B, T), 0 at padding, which cannot be the answer; ``None`` = no padding.
    """
    logits, length = logits.float(), logits.shape[1]
    if mask is not None:
        logits = logits.masked_fill((mask == 0)[:, :, None], CLOSED)
    return _mean_cross_entropy(logits, positions.clamp(0, length), ignore=length)


def _mean_cross_entropy(logits: Tensor, labels: Tensor, *, ignore: int) -> Tensor:
    """Return the mean over all labels but ``ignore``, 0 without any."""
    summed = F.cross_entropy(logits.float(), labels, ignore_index=ignore, reduction="sum")
    return summed / torch.clamp((labels != ignore).sum(), min=1)
