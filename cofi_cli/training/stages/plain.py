"""A stage without gates: one model, one optimiser, one rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cofi_cli.config import RecoverConfig, TeacherConfig
from cofi_cli.modeling import CofiForTask
from cofi_cli.training.evaluation import evaluate, evaluate_in_groups
from cofi_cli.training.session import Session
from cofi_cli.training.stages.best import Best
from cofi_cli.training.stages.loop import StageTime, run_stage
from cofi_cli.training.stages.optim import WeightOptimizer
from cofi_cli.training.stages.precision import autocast
from cofi_cli.training.stages.rows import Row


class PlainStage:
    """The common part of training on labels and recovery; each has its own loss and schedule.

    With ``patience``, in steps, it ends when the best score is as old as that.

    Args:
        model: what is trained.
        others: further modules with weights, such as the layer map.
        tolerance: of :class:`~cofi_cli.training.stages.best.Best`.
        name: of the stage, and of its folder below ``checkpoints/``.
        steps: how many are taken at most.
    """

    def __init__(
        self,
        session: Session,
        model: CofiForTask,
        settings: TeacherConfig | RecoverConfig,
        *,
        name: str,
        steps: int,
        others: Sequence[nn.Module] = (),
        tolerance: float = 0.0,
    ) -> None:
        self.name, self.batch_size, self.total = name, settings.batch_size, steps
        self.session, self.rows = session, session.splits["train"]
        self.model = model.to(session.device).train()
        self.others = [module.to(session.device) for module in others]
        self.precision = session.precision(hidden=model.config.hidden_size)
        self.optimizer = WeightOptimizer(
            [self.model, *self.others], weight_decay=settings.weight_decay
        )
        self.patience: int | None = None
        self.ended = False
        file = session.run.checkpoints / name / "best.pt"
        self.best = Best(file, save=session.save, tolerance=tolerance)

    def run(self) -> StageTime:
        """Run to the end; the model is the one that was kept afterwards."""
        used = run_stage(self.session, self)
        self.model.load_state_dict(self.best.load()["model"])
        return used

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step, from 0."""
        raise NotImplementedError

    def loss(
        self, batch: dict[str, Tensor], indices: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, a scalar, and its terms for the log."""
        raise NotImplementedError

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> Row:
        """Take one step."""
        rate = self.learning_rate(step)
        with autocast(self.precision, self.session.device):
            loss, row = self.loss(batch, indices)
        self.optimizer.step(
            loss,
            rate=rate,
            clip=self.session.config.train.grad_clip,
            after_backward=lambda: self.session.processes.sum_gradients(self.optimizer.weights),
        )
        return row | {"loss": loss.detach(), "learning_rate": rate}

    def evaluate(self, step: int) -> dict[str, float] | None:
        """Score the validation split, and keep the model if it is the best or level with it."""
        session, model, how = self.session, self.model, self.precision
        if self.best.tolerance:
            scores, without = evaluate_in_groups(session, model, precision=how)
        else:
            scores, without = evaluate(session, model, precision=how), []
        self.best.offer(scores[self.session.task.headline], step, self.model, without=without)
        if self.patience is not None:
            self.ended = step - self.best.step >= self.patience
        return {f"validation_{k}": v for k, v in scores.items()}

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "model": self.model.state_dict(),
            "others": [module.state_dict() for module in self.others],
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state(),
            "ended": self.ended,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.model.load_state_dict(state["model"])
        for module, saved in zip(self.others, state["others"]):
            module.load_state_dict(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_from(state["best"])
        self.ended = state["ended"]
