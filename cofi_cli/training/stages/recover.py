"""Fine-tune the compact model, still distilled (CoFi, section 3.1)."""

from __future__ import annotations

import math

from torch import Tensor

from cofi_cli.config import RecoverConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.dropout import set_dropout
from cofi_cli.pruning.sparsity import EncoderShape, count_prunable
from cofi_cli.training.distiller import Distiller, existing_layers
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.session import Session
from cofi_cli.training.stages.optim import linear_decay
from cofi_cli.training.stages.plain import PlainStage
from cofi_cli.training.stages.rates import base_rate, growth_of


def _grown_rate(session: Session, model: CofiForTask, teacher: CofiForTask) -> float:
    """Return the rate that pruning reaches at the sparsity of a compact model."""
    settings = session.config.prune
    rate = settings.learning_rate or base_rate(teacher.config.hidden_size)
    kept = count_prunable(model) / EncoderShape.of(teacher.config).prunable
    return rate * growth_of(max(kept, 1e-4), settings.rate_growth)


class RecoverStage(PlainStage):
    """Distillation into a compact model.

    Args:
        kept: the hidden dims of the teacher that the model kept, (k,).
    """

    def __init__(
        self,
        session: Session,
        model: CofiForTask,
        distiller: Distiller,
        settings: RecoverConfig,
        *,
        kept: Tensor,
        steps: int,
        name: str = "recover",
    ) -> None:
        model.model.encoder.embeddings.requires_grad_(not settings.freeze_embeddings)
        teacher = distiller.outputs.teacher
        super().__init__(
            session,
            model,
            settings,
            name=name,
            steps=steps,
            others=[distiller],
            tolerance=settings.tolerance,
        )
        if session.config.distill.dropout is not None:
            set_dropout(model, session.config.distill.dropout)
        self.settings, self.distiller, self.rows = settings, distiller, session.imitated
        if settings.patience:
            per_epoch = math.ceil(len(session.splits["train"]) / settings.batch_size)
            often = session.config.train.evals_per_epoch
            self.patience = settings.patience * max(1, round(per_epoch / often))
        is_narrow = kept.numel() < teacher.config.hidden_size
        self.kept = kept.to(session.device) if is_narrow else None
        config = model.config
        self.rate = settings.learning_rate or _grown_rate(session, model, teacher)
        self.exists = existing_layers(list(zip(config.layer_heads, config.layer_ffn)))

    def learning_rate(self, step: int) -> float:
        """Stay, or decay to 0."""
        is_linear = self.settings.schedule == "linear"
        factor = linear_decay(step, self.total) if is_linear else 1.0
        return self.rate * factor

    def loss(
        self, batch: dict[str, Tensor], indices: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distillation loss."""
        out = self.model.run(**{k: batch[k] for k in INPUTS})
        loss, row = self.distiller(out, batch, indices, exists=self.exists, kept=self.kept)
        return loss, row
