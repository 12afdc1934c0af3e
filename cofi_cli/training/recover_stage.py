"""Fine-tune the compact model, still distilled (CoFi, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cofi_cli.config import RecoverConfig
from cofi_cli.modeling import CofiForSequenceClassification, MaskedOutput
from cofi_cli.pruning.sparsity import count_prunable
from cofi_cli.training.best import Best
from cofi_cli.training.distiller import Distiller, existing_layers
from cofi_cli.training.evaluation import INPUTS, evaluate
from cofi_cli.training.loop import total_steps
from cofi_cli.training.optim import (
    clip_gradients,
    linear_decay,
    set_lr,
    weight_optimizer,
)
from cofi_cli.training.precision import autocast, resolve_precision
from cofi_cli.training.session import Session


class RecoverStage:
    """Distillation into a compact model.

    Args:
        kept: the hidden dims of the teacher that the model kept, (k,).
    """

    def __init__(
        self,
        session: Session,
        model: CofiForSequenceClassification,
        distiller: Distiller,
        settings: RecoverConfig,
        *,
        kept: Tensor,
        name: str = "recover",
    ) -> None:
        self.name, self.epochs, self.batch_size = (
            name,
            settings.epochs,
            settings.batch_size,
        )
        self.session, self.settings = session, settings
        self.model = model.to(session.device).train()
        self.distiller = distiller.to(session.device)
        is_narrow = kept.numel() < distiller.outputs.teacher.config.hidden_size
        self.kept = kept.to(session.device) if is_narrow else None
        config = model.config
        self.exists = existing_layers(list(zip(config.layer_heads, config.layer_ffn)))
        if settings.freeze_embeddings:
            self.model.model.encoder.embeddings.requires_grad_(False)
        self.precision = resolve_precision(
            session.config.train.precision,
            device=session.device,
            hidden=config.hidden_size,
            sparsity=1 - count_prunable(model) / count_prunable(distiller.outputs.teacher),
        )
        self.optimizer = weight_optimizer(
            [self.model, self.distiller],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.total = total_steps(
            len(session.splits["train"]), batch_size=self.batch_size, epochs=self.epochs
        )
        self.best = Best(session.run.checkpoints / name / "best.pt")

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> dict[str, float]:
        """One distilled step."""
        lr = self.settings.learning_rate
        if self.settings.schedule == "linear":
            lr *= linear_decay(step, self.total)
        set_lr(self.optimizer, lr)
        with autocast(self.precision, self.session.device):
            out = self.model.run(**{k: batch[k] for k in INPUTS})
            out = MaskedOutput(logits=out.logits, states=out.states, kept=self.kept)
            row: dict[str, float]
            loss, row = self.distiller(out, batch, indices, exists=self.exists)
        self.optimizer.zero_grad(set_to_none=True)
        self.session.accelerator.backward(loss)
        weights = [p for g in self.optimizer.param_groups for p in g["params"]]
        clip_gradients(weights, self.session.config.train.grad_clip)
        self.optimizer.step()
        return row | {"loss": loss.item(), "learning_rate": lr}

    def evaluate(self, step: int) -> dict[str, float]:
        """Score the validation split and keep the best model."""
        scores = evaluate(self.session, self.model)
        self.best.offer(scores[self.session.task.metrics[0]], step, self.model)
        return {f"validation_{k}": v for k, v in scores.items()}

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "model": self.model.state_dict(),
            "distiller": self.distiller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.distiller.load_state_dict(state["distiller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_from(state["best"])
