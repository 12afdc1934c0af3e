"""Learn what to keep: gates, weights and multipliers in one loop (CoFi, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cofi_cli.modeling import CofiForTask, Masks
from cofi_cli.modeling.dropout import set_dropout
from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.lagrangian import Lagrangian, ramp_power, ramped_target
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.training.distiller import Distiller, existing_layers
from cofi_cli.training.evaluation import INPUTS, evaluate
from cofi_cli.training.session import Session
from cofi_cli.training.stages.best import Best
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.optim import WeightOptimizer, linear_decay, scalar_optimizer, set_lr
from cofi_cli.training.stages.precision import autocast
from cofi_cli.training.stages.rates import base_rate, growth_of
from cofi_cli.training.stages.rows import Row
from cofi_cli.training.stages.schedule import Schedule
from cofi_cli.training.stages.seeding import derive, generator
from cofi_cli.training.stages.target import Target

REACHED = 0.001
"""A plan counts as on target when it misses by no more than this."""
_LEAST_KEPT = 1e-4
"""Share of weights below which the rate grows no more."""


class PruneStage:
    """Dense distillation, then a ramp of the target, then pruning at the target."""

    name = "prune"
    ended = False

    def __init__(
        self,
        session: Session,
        student: CofiForTask,
        distiller: Distiller,
        steps: Schedule,
    ) -> None:
        settings = session.config.prune
        self.session, self.settings, self.rows = session, settings, session.imitated
        self.batch_size, self.total = settings.batch_size, steps.prune
        self.dense_steps, self.ramp_steps = steps.dense, steps.ramp
        self.student = student.to(session.device).train()
        if session.config.distill.dropout is not None:
            set_dropout(student, session.config.distill.dropout)
        self.distiller = distiller.to(session.device)
        self.shape = EncoderShape.of(student.config)
        self.rate = settings.learning_rate or base_rate(self.shape.hidden)
        self.precision = session.precision(hidden=self.shape.hidden)
        *self.milestones, self.goal = session.sizes
        self.gates = Gates(
            self.shape,
            groups=settings.gates,
            init=settings.gate_init,
            floor=settings.gate_floor,
            seed=derive(session.config.seed, "gates"),
            cost=self.goal.cost,
        )
        self.lagrangian = Lagrangian()
        if settings.freeze_embeddings:
            self.student.model.encoder.embeddings.requires_grad_(False)
        self.optimizer = WeightOptimizer(
            [self.student, self.distiller],
            weight_decay=settings.weight_decay,
        )
        learned = [p for p in self.gates.parameters() if p.requires_grad]
        self.gate_optimizer = scalar_optimizer(
            learned, lr=settings.gate_learning_rate, ascend=False
        )
        self.multiplier_optimizer = scalar_optimizer(
            self.lagrangian.parameters(),
            lr=settings.multiplier_learning_rate,
            ascend=True,
        )
        self.best = Best(session.run.checkpoints / self.name / "best.pt", save=session.save)
        self.armed = False

    def target(self, step: int) -> float:
        """Return the reduction asked for at a step."""
        return ramped_target(
            step,
            start=self.dense_steps,
            ramp_steps=self.ramp_steps,
            target=self.goal.reduction,
            power=ramp_power(self.settings.ramp, ramp_steps=self.ramp_steps),
        )

    def learning_rate(self, step: int) -> float:
        """Return the weights' rate: it grows while the target closes units, and decays to 0."""
        if self.goal.table is None:
            kept = 1 - self.target(step)
        else:
            kept = max(1 - self.gates.expected_sparsity().item(), _LEAST_KEPT)
        growth = growth_of(kept, self.settings.rate_growth)
        return self.rate * growth * linear_decay(step, self.total)

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> Row:
        """One step of weights, gates and multipliers."""
        settings, dense = self.settings, step < self.dense_steps
        processes = self.session.processes
        masks = None
        if not dense:
            seed = self.session.config.seed
            masks = self.gates.sample(generator(seed, self.name, "gates", step))
        target, device = self.target(step), self.session.device
        lr = self.learning_rate(step)
        with autocast(self.precision, device):
            out = self.student.run(**{k: batch[k] for k in INPUTS}, masks=masks)
            loss, terms = self.distiller(out, batch, indices, exists=self._exists(masks))
        row: Row = dict(terms)
        if not dense:
            penalty = self.lagrangian(self.gates.expected_reduction(), target)
            row["penalty"] = penalty.item()
            # Every process knows the whole penalty; their sum has to be it once.
            loss = loss + penalty.to(device) / processes.count
        for optimizer in (self.gate_optimizer, self.multiplier_optimizer):
            optimizer.zero_grad(set_to_none=True)
        learned = (*self.optimizer.weights, *self.gates.parameters(), *self.lagrangian.parameters())
        self.optimizer.step(
            loss,
            rate=lr,
            clip=self.session.config.train.grad_clip,
            after_backward=lambda: processes.sum_gradients(learned),
        )
        if not dense:
            set_lr(self.gate_optimizer, settings.gate_learning_rate * self._gate_factor(step))
            row |= self._constrain(target)
            self._keep_milestones(step)
        row |= {"loss": loss.detach(), "learning_rate": lr}
        return row | self.goal.row("target", target)

    def _gate_factor(self, step: int) -> float:
        """Return the factor of the gates' rate, so that weights end on a settled structure."""
        held_from = self.dense_steps + self.ramp_steps
        if self.settings.gate_schedule == "constant" or step < held_from:
            return 1.0
        return linear_decay(step - held_from, self.total - held_from)

    def _constrain(self, target: float) -> dict[str, float]:
        self.gate_optimizer.step()
        self.gates.clamp()
        before = self.gates.expected_reduction()
        if self.settings.constraint == "held":
            # The multipliers see where the gates went on their own.
            self.lagrangian.zero_grad()
            self.lagrangian(before.detach(), target).backward()
            shift = self.gates.hold(target)
        else:
            shift = 0.0
        self.multiplier_optimizer.step()
        reduced = self.gates.expected_reduction().item()
        return self.goal.row("expected", reduced) | {
            "expected_sparsity": self.gates.expected_sparsity().item(),
            "lambda1": self.lagrangian.lambda1.item(),
            "lambda2": self.lagrangian.lambda2.item(),
            "shift": shift,
        }

    def _keep_milestones(self, step: int) -> None:
        """Keep the state at the step at which the ramp reaches a smaller target on its way."""
        before, now = self.target(step - 1), self.target(step)
        for goal in self.milestones:
            if before < goal.reduction <= now:
                self.session.save(self._milestone(goal), self._kept(self.plan_for(goal)))

    def _milestone(self, goal: Target) -> Path:
        return self.session.run.checkpoints / self.name / f"{goal.name}.pt"

    def _exists(self, masks: Masks | None) -> list[bool]:
        layers = range(self.shape.n_layers)
        if masks is None:
            return [True] * self.shape.n_layers
        return existing_layers([(len(masks.kept_heads(i)), len(masks.kept_ffn(i))) for i in layers])

    def plan(self) -> PrunePlan:
        """Return the plan that the gates stand for now."""
        return self.plan_for(self.goal)

    def plan_for(self, goal: Target, *, shifted_to: float | None = None) -> PrunePlan:
        """Return the plan that the gates stand for.

        Args:
            goal: that the plan has to meet, where the constraint is held.
            shifted_to: a reduction in its place, that all gates are shifted to first.
        """
        settings = self.settings
        target = goal.reduction if settings.constraint == "held" else None
        if shifted_to is not None:
            target = shifted_to
            self.gates.hold(shifted_to)
        is_soft = settings.eval_gates == "soft"
        return decide(self.gates, target, soft=is_soft, multiple=settings.round_widths_to)

    def evaluate(self, step: int) -> dict[str, float] | None:
        """Score the plan's model; keep the best among those on target."""
        if step < min(self.dense_steps + self.ramp_steps, self.total):
            return None
        plan = self.plan()
        scores = evaluate(self.session, self.student, masks=plan.masks(), precision=self.precision)
        row = {f"validation_{k}": v for k, v in scores.items()}
        realised = self.goal.reached(plan)
        row |= self.goal.row("realised", realised) | {"realised_sparsity": plan.sparsity}
        reached = realised >= self.goal.reduction - REACHED
        self.armed = self.armed or reached
        counts = self.armed if self.settings.best == "reference" else reached
        if counts:
            self.best.offer(
                scores[self.session.task.headline],
                step,
                self.student,
                plan=plan.model_dump(),
                layer_map=self._layer_map(),
                gates=self.gates.state_dict(),
                expected=self.gates.expected_sparsity().item(),
            )
        return row

    def result(self, goal: Target) -> dict[str, Any]:
        """Return what is kept for a size.

        Of the last one the best state, or the last when none was on target; of the others the state
        at which the ramp reached them.
        """
        if goal in self.milestones:
            return load_state(self._milestone(goal))
        if self.best.score is not None:
            return self.best.load()
        return self._kept(self.plan())

    def _kept(self, plan: PrunePlan) -> dict[str, Any]:
        return {
            "model": {k: v.detach().cpu() for k, v in self.student.state_dict().items()},
            "plan": plan.model_dump(),
            "layer_map": self._layer_map(),
            "gates": self.gates.state_dict(),
            "expected": self.gates.expected_sparsity().item(),
        }

    def _layer_map(self) -> Tensor | None:
        layers = self.distiller.layers
        return None if layers is None else layers.weight.detach().cpu().clone()

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "student": self.student.state_dict(),
            "gates": self.gates.state_dict(),
            "lagrangian": self.lagrangian.state_dict(),
            "layer_map": self._layer_map(),
            "optimizer": self.optimizer.state_dict(),
            "others": [o.state_dict() for o in (self.gate_optimizer, self.multiplier_optimizer)],
            "best": self.best.state(),
            "armed": self.armed,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.student.load_state_dict(state["student"])
        self.gates.load_state_dict(state["gates"])
        self.lagrangian.load_state_dict(state["lagrangian"])
        if self.distiller.layers is not None:
            with torch.no_grad():
                self.distiller.layers.weight.copy_(state["layer_map"])
        self.optimizer.load_state_dict(state["optimizer"])
        others = (self.gate_optimizer, self.multiplier_optimizer)
        for optimizer, saved in zip(others, state["others"], strict=True):
            optimizer.load_state_dict(saved)
        self.best.load_from(state["best"])
        self.armed = state["armed"]
