"""Fine-tune a model on labels: the teacher's stage, and ``cofi finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cofi_cli.config import TeacherConfig
from cofi_cli.modeling import CofiForSequenceClassification
from cofi_cli.training.best import Best
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


class DenseStage:
    """AdamW, linear warm-up and decay, cross-entropy or mean squared error."""

    def __init__(
        self,
        session: Session,
        model: CofiForSequenceClassification,
        settings: TeacherConfig,
        *,
        name: str = "teacher",
    ) -> None:
        self.name, self.epochs, self.batch_size = (
            name,
            settings.epochs,
            settings.batch_size,
        )
        self.session, self.settings = session, settings
        self.model = model.to(session.device).train()
        self.precision = resolve_precision(
            session.config.train.precision,
            device=session.device,
            hidden=model.config.hidden_size,
        )
        self.optimizer = weight_optimizer(
            [self.model], lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.total = total_steps(
            len(session.splits["train"]), batch_size=self.batch_size, epochs=self.epochs
        )
        self.best = Best(session.run.checkpoints / name / "best.pt")

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> dict[str, float]:
        """One step on labels."""
        warmup = round(self.settings.warmup_ratio * self.total)
        lr = self.settings.learning_rate * linear_decay(step, self.total, warmup=warmup)
        set_lr(self.optimizer, lr)
        with autocast(self.precision, self.session.device):
            logits = self.model.run(**{k: batch[k] for k in INPUTS}).logits
        if self.session.regression:
            loss = F.mse_loss(logits.float().squeeze(-1), batch["labels"].float())
        else:
            loss = F.cross_entropy(logits.float(), batch["labels"])
        self.optimizer.zero_grad(set_to_none=True)
        self.session.accelerator.backward(loss)
        clip_gradients(self.model.parameters(), self.session.config.train.grad_clip)
        self.optimizer.step()
        return {"loss": loss.item(), "learning_rate": lr}

    def evaluate(self, step: int) -> dict[str, float]:
        """Score the validation split and keep the best model."""
        scores = evaluate(self.session, self.model)
        self.best.offer(scores[self.session.task.metrics[0]], step, self.model)
        return {f"validation_{k}": v for k, v in scores.items()}

    def state(self) -> dict[str, Any]:
        """Return model, optimiser and best score."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_from(state["best"])
