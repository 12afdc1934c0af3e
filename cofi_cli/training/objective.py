"""What a task's outputs are trained on: labels, or the teacher's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cofi_cli.modeling import HEADS
from cofi_cli.modeling.losses import CLOSED
from cofi_cli.pruning.distillation import prediction_loss
from cofi_cli.tasks import Kind


@dataclass(frozen=True)
class Objective:
    """Losses of one kind of task.

    Shapes: logits are (B, C), (B, T, C) of a head that answers for each token.
    """

    kind: Kind

    def hard(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss against ``batch["labels"]``, a scalar; the head knows it."""
        own = self.kind
        return HEADS[own.head].loss(logits, batch, own.trained_as or own.problem_type)

    def label_count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return how many labels the hard loss is a mean over, a scalar."""
        return HEADS[self.kind.head].label_count(batch)

    @property
    def soft_over(self) -> str:
        """What the soft loss is a mean over: ``rows`` or ``tokens``."""
        return "tokens" if self.kind.per_token and self.kind.soft_loss != "span" else "rows"

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return the loss against the teacher's logits, a scalar.

        Args:
            student, teacher: logits of the same shape; of a head that answers for each token
                those of the n real positions, (n, C).
            mask: (B, T), 1 at real positions.
            temperature: T of the softened distributions.
        """
        return SOFT_LOSSES[self.kind.soft_loss](student, teacher, mask, temperature)


def _classes(student: Tensor, teacher: Tensor, _: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher ‖ student)·T², the mean over rows, or over real tokens."""
    return prediction_loss(student, teacher, temperature=temperature)


def _numbers(student: Tensor, teacher: Tensor, _: Tensor, temperature: float) -> Tensor:
    """Return the mean squared error: there is no distribution to soften."""
    return F.mse_loss(student.float(), teacher.float())


def _sets(student: Tensor, teacher: Tensor, _: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher ‖ student)·T², each class a yes or no of its own, summed."""
    ours, theirs = (
        torch.stack([F.logsigmoid(x), F.logsigmoid(-x)], dim=-1)
        for x in (student.float() / temperature, teacher.float() / temperature)
    )
    loss = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return loss * temperature**2


def _span(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher ‖ student)·T² over positions, the mean of start and end."""
    ours, theirs = (
        F.log_softmax(_by_row(x.float() / temperature, mask), dim=1) for x in (student, teacher)
    )
    loss = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return loss * temperature**2 / 2


def _vectors(student: Tensor, teacher: Tensor, _: Tensor, temperature: float) -> Tensor:
    """Return the mean of |s - t|² / |t|² over rows, or over real tokens.

    For unit vectors it is 2 - 2·cos(s, t).
    """
    s, t = student.float(), teacher.float()
    return ((s - t).square().sum(-1) / t.square().sum(-1).clamp(min=1e-12)).mean()


def _by_row(values: Tensor, mask: Tensor) -> Tensor:
    """Put the real positions' values, (n, C), back into (B, T, C), closed at padding."""
    rows = values.new_full((mask.numel(), values.shape[-1]), CLOSED)
    rows = rows.index_copy(0, mask.flatten().nonzero().flatten(), values)
    return rows.view(*mask.shape, -1)


SOFT_LOSSES: Mapping[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "classes": _classes,
    "numbers": _numbers,
    "sets": _sets,
    "span": _span,
    "vectors": _vectors,
}
"""What a kind's ``soft_loss`` names; the arguments are those of :meth:`Objective.soft`."""
