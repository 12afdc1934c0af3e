"""What a task's outputs are trained on: labels, or the teacher's outputs; one class a kind."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from cofi_cli.modeling.losses import CLOSED, IGNORE, sequence_loss, span_loss, token_loss
from cofi_cli.pruning.distillation import prediction_loss
from cofi_cli.tasks.kinds.specs import Kind


class Objective:
    """Losses of one kind of task; this one's are a classification's.

    Shapes: logits are (B, C), (B, T, C) of a head that answers for each token. ``soft``
    takes those of n real positions then, (n, C), and the mask that they come from.

    Attributes:
        problem_type: what the hard loss of a pooled head is.
    """

    problem_type = "single_label_classification"
    soft_over = "rows"
    """What the soft loss is a mean over: ``rows`` or ``tokens``."""

    def label_count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return how many labels the hard loss is a mean over, a scalar."""
        return batch["labels"].new_tensor(len(batch["labels"]))

    def hard(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss against ``batch["labels"]``, a scalar."""
        return sequence_loss(logits, batch["labels"], self.problem_type)

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return the loss against the teacher's logits, a scalar.

        Args:
            student, teacher: logits of the same shape.
            mask: (B, T), 1 at real positions.
            temperature: T of the softened distributions.
        """
        return prediction_loss(student, teacher, temperature=temperature)


class NumberObjective(Objective):
    """One number a row: no distribution to soften, so the values are matched."""

    problem_type = "regression"

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return the mean squared error against the teacher."""
        return F.mse_loss(student.float(), teacher.float())


class RankingObjective(NumberObjective):
    """One logit a pair: relevant or not, or graded from 0 to 1: a yes or no of one class."""

    problem_type = "multi_label_classification"


class MultilabelObjective(Objective):
    """A yes or no for each class."""

    problem_type = "multi_label_classification"

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return KL(teacher ‖ student)·T², each class a distribution of its own, summed."""
        ours, theirs = (
            torch.stack([F.logsigmoid(x), F.logsigmoid(-x)], dim=-1)
            for x in (student.float() / temperature, teacher.float() / temperature)
        )
        loss = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return loss * temperature**2


class TokensObjective(Objective):
    """One class a token; the soft loss is the mean over real tokens."""

    soft_over = "tokens"

    def label_count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Count the tokens that carry a label."""
        return (batch["labels"] != IGNORE).sum()

    def hard(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean cross-entropy over the tokens that carry a label, 0 without any.

        The windows that go on with a word longer than a window carry none.
        """
        return token_loss(logits, batch["labels"])


class SpanObjective(Objective):
    """Two distributions over a row's tokens: where the answer starts, and where it ends."""

    def label_count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Count the starts and ends that lie in their row."""
        return (batch["labels"] < batch["input_ids"].shape[1]).sum()

    def hard(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean of both cross-entropies; labels are (B, 2) positions."""
        return span_loss(logits, batch["labels"], batch["attention_mask"])

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return KL(teacher ‖ student)·T² over positions, the mean of start and end."""
        ours, theirs = (
            F.log_softmax(_by_row(x.float() / temperature, mask), dim=1) for x in (student, teacher)
        )
        loss = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return loss * temperature**2 / 2


class EmbeddingObjective(Objective):
    """A vector a text: no labels; the teacher's are matched."""

    def hard(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Have no labels to learn from."""
        raise NotImplementedError("an embedder is trained on its teacher, not on labels")

    def soft(self, student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
        """Return the mean of |s - t|² / |t|², which is 2 - 2·cos(s, t) for unit vectors."""
        s, t = student.float(), teacher.float()
        return ((s - t).square().sum(-1) / t.square().sum(-1).clamp(min=1e-12)).mean()


def _by_row(values: Tensor, mask: Tensor) -> Tensor:
    """Put the real positions' values, (n, C), back into (B, T, C), closed at padding."""
    rows = values.new_full((mask.numel(), values.shape[-1]), CLOSED)
    rows = rows.index_copy(0, mask.flatten().nonzero().flatten(), values)
    return rows.view(*mask.shape, -1)


OBJECTIVES: Mapping[Kind, Objective] = {
    "classification": Objective(),
    "regression": NumberObjective(),
    "multilabel": MultilabelObjective(),
    "ranking": RankingObjective(),
    "tokens": TokensObjective(),
    "span": SpanObjective(),
    "embedding": EmbeddingObjective(),
}
