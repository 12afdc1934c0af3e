"""Fine-tune a model on labels: the teacher's stage, and ``cofi finetune``."""

from __future__ import annotations

from torch import Tensor

from cofi_cli.config import TeacherConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks import no_labels
from cofi_cli.training.distiller import part_of
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.session import Session
from cofi_cli.training.stages.optim import linear_decay
from cofi_cli.training.stages.plain import PlainStage
from cofi_cli.training.stages.rates import base_rate
from cofi_cli.training.stages.schedule import total_steps


class DenseStage(PlainStage):
    """AdamW, linear warm-up and decay, the loss of the task's kind."""

    def __init__(
        self,
        session: Session,
        model: CofiForTask,
        settings: TeacherConfig,
        *,
        name: str = "teacher",
    ) -> None:
        if session.splits["train"].labels is None:
            raise no_labels(session.task)
        rows = len(session.splits["train"])
        steps = total_steps(rows, batch_size=settings.batch_size, epochs=settings.epochs)
        super().__init__(session, model, settings, name=name, steps=steps)
        self.settings = settings
        self.rate = settings.learning_rate or base_rate(model.config.hidden_size)

    def learning_rate(self, step: int) -> float:
        """Warm up, then decay to 0."""
        warmup = round(self.settings.warmup_ratio * self.total)
        return self.rate * linear_decay(step, self.total, warmup=warmup)

    def loss(
        self, batch: dict[str, Tensor], indices: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss against the labels."""
        logits = self.model.run(**{k: batch[k] for k in INPUTS}).logits.float()
        return part_of(self.session.objective.hard(logits, batch), batch, over="labels"), {}
