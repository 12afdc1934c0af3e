"""The loop that all stages run in: batches, log, evaluation, checkpoints, interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cofi_cli.runs.records import StageSummary
from cofi_cli.tasks import Encoded, batches, collate
from cofi_cli.training.session import Session
from cofi_cli.training.stages.checkpoint import load_state, save_state
from cofi_cli.training.stages.interrupts import Diverged, Interrupted
from cofi_cli.training.stages.seeding import derive, seed_global


class Stage(Protocol):
    """One stage's own part of the loop. Its state is all that a checkpoint needs.

    Attributes:
        rows: what it trains on. An epoch counts the task's own training rows alone.
        total: steps.
        ended: whether further steps are in vain; set by :meth:`evaluate`.
    """

    name: str
    rows: Encoded
    total: int
    batch_size: int
    precision: str
    ended: bool

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> dict[str, float]:
        """Take one optimiser step; return what to log, ``loss`` among it."""

    def evaluate(self, step: int) -> dict[str, float] | None:
        """Evaluate after ``step`` steps and keep the best; ``None`` when it is too early."""

    def state(self) -> dict[str, Any]:
        """Return the resumable state."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""


@dataclass
class StageTime:
    """Cost of a stage; seconds without evaluation and checkpoints."""

    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    examples: int = 0
    steps: int = 0
    teacher_seconds: float = 0.0

    def summary(self) -> StageSummary:
        """Return the numbers of the report."""
        speed = self.examples / self.seconds if self.seconds else 0.0
        return StageSummary(**asdict(self), examples_per_second=speed)


def _checkpoint(session: Session, stage: Stage) -> Path:
    return session.run.checkpoints / stage.name / "latest.pt"


def has_begun(session: Session, stage: Stage) -> bool:
    """Whether a stage will go on from a checkpoint; its best so far is on disk then."""
    return _checkpoint(session, stage).exists()


def _is_finite(state: Any) -> bool:
    """Whether all numbers of a stage's tensors are finite."""
    if isinstance(state, Mapping):
        return all(_is_finite(value) for value in state.values())
    if isinstance(state, list | tuple):
        return all(_is_finite(value) for value in state)
    return not isinstance(state, Tensor) or bool(torch.isfinite(state).all())


def run_stage(session: Session, stage: Stage) -> StageTime:
    """Run a stage to its end, from its checkpoint if there is one.

    Raises:
        Interrupted: a signal came; the state is saved.
        Diverged: the loss or a weight is not finite; the last checkpoint is kept.
    """
    train = session.config.train
    encoded = stage.rows
    per_epoch = math.ceil(len(session.splits["train"]) / stage.batch_size)
    per_round = math.ceil(len(encoded) / stage.batch_size)
    total = stage.total
    path = _checkpoint(session, stage)
    used, done = StageTime(), 0
    if path.exists():
        state = load_state(path)
        stage.load_state(state["stage"])
        used, done = StageTime(**state["time"]), int(state["step"])
    session.metrics.rewind(stage.name, done)
    session.progress.stage(stage.name, total, done)

    def diverged() -> Diverged:
        session.metrics.flush()
        kept = f"{path} (step {load_state(path)['step']})" if path.exists() else "nothing yet"
        return Diverged(stage.name, done, kept)

    def sound_state() -> dict[str, Any]:
        """Return what a step left: its loss, which is from before it, does not tell."""
        state = stage.state()
        if not _is_finite(state):
            raise diverged()
        return state

    def save() -> None:
        state = {"step": done, "time": asdict(used), "stage": sound_state()}
        session.metrics.flush()
        save_state(path, state)

    eval_every = max(1, round(per_epoch / train.evals_per_epoch))
    turn, plan = -1, []
    while done < total and not stage.ended:
        if done // per_round != turn:
            turn = done // per_round
            plan = batches(
                encoded.lengths,
                batch_size=stage.batch_size,
                seed=derive(session.config.seed, stage.name, "order"),
                epoch=turn,
                group_by_length=train.group_by_length,
            )
        indices = plan[done % per_round]
        began = time.perf_counter()
        batch = collate(
            encoded,
            indices,
            pad_id=session.pad_id,
            device=session.device,
            round_up=session.rounds_lengths(stage.precision),
        )
        seed_global(session.config.seed, stage.name, done)
        row: dict[str, Any] = {
            "stage": stage.name,
            "step": done + 1,
            "epoch": done / per_epoch,
        }
        row |= stage.step(batch, indices, done)
        seconds = time.perf_counter() - began
        done += 1
        if not math.isfinite(row["loss"]):
            raise diverged()
        used.seconds += seconds
        used.examples += len(indices)
        used.steps = done
        row["examples_per_second"] = len(indices) / seconds
        if done % eval_every == 0 or done == total:
            sound_state()
            began = time.perf_counter()
            row |= stage.evaluate(done) or {}
            used.evaluation_seconds += time.perf_counter() - began
        session.metrics.add(row)
        session.progress.step(row)
        if session.flag.is_set and done < total and not stage.ended:
            save()
            raise Interrupted(f"in stage '{stage.name}', step {done}", session.resume_command)
        if done % train.checkpoint_steps == 0 or done == total or stage.ended:
            save()
    session.metrics.flush()
    return used
