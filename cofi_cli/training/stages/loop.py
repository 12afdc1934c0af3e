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

from cofi_cli.architectures import is_compact
from cofi_cli.errors import enough_memory
from cofi_cli.runs.records import StageSummary
from cofi_cli.tasks import Encoded, batches
from cofi_cli.training.session import Session
from cofi_cli.training.stages.batch import make_batch
from cofi_cli.training.stages.checkpoint import load_state, reading_state
from cofi_cli.training.stages.interrupts import Diverged, Interrupted
from cofi_cli.training.stages.rows import Row, read_rows, steps_together
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

    def step(self, batch: dict[str, Tensor], indices: list[int], step: int) -> Row:
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
    communication_seconds: float = 0.0

    def summary(self) -> StageSummary:
        """Return the numbers of the report."""
        speed = self.examples / self.seconds if self.seconds else 0.0
        return StageSummary(**asdict(self), examples_per_second=speed)


def _checkpoint(session: Session, stage: Stage) -> Path:
    return session.run.checkpoints / stage.name / "latest.pt"


def has_begun(session: Session, stage: Stage) -> bool:
    """Whether a stage will go on from a checkpoint; its best so far is on disk then."""
    return session.processes.exists(_checkpoint(session, stage))


def _section(session: Session, stage: Stage) -> str:
    """Return the section of the configuration that a stage's batches are of."""
    section = stage.name.partition("-")[0]
    if section != "finetune":
        return section
    return "recover" if is_compact(session.config.model) else "teacher"


def _is_finite(state: Any) -> bool:
    """Whether all numbers of a stage's tensors are finite."""
    if isinstance(state, Mapping):
        return _is_finite([*state.values()])
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
    rows_of = f"--set {_section(session, stage)}.batch_size"
    used, done = StageTime(), 0
    if has_begun(session, stage):
        state = load_state(path, "stage", "time", "step")
        with reading_state(path):
            stage.load_state(state["stage"])
            used, done = StageTime(**state["time"]), int(state["step"])
    session.processes.wait()  # before the checkpoint that was read is written again
    session.metrics.rewind(stage.name, done)
    session.progress.stage(stage.name, total, done)

    def diverged(step: int) -> Diverged:
        session.metrics.flush()
        kept = f"{path} (step {load_state(path)['step']})" if path.exists() else "nothing yet"
        return Diverged(stage.name, step, kept)

    def sound_state() -> dict[str, Any]:
        """Return what a step left: its loss, which is from before it, does not tell."""
        state = stage.state()
        if not _is_finite(state):
            raise diverged(done)
        return state

    def save() -> None:
        state = {"step": done, "time": asdict(used), "stage": sound_state()}
        session.metrics.flush()
        session.save(path, state)

    eval_every = max(1, round(per_epoch / train.evals_per_epoch))
    together = steps_together(session.device)
    turn, plan = -1, []
    pending: list[Row] = []
    began, examples, talked = time.perf_counter(), 0, session.processes.seconds
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
        place = {"stage": stage.name, "step": done + 1, "epoch": done / per_epoch}
        with enough_memory(
            f"in stage '{stage.name}'", batch_size=stage.batch_size, setting=rows_of
        ):
            mine, batch = make_batch(session, encoded, indices, precision=stage.precision)
            seed_global(session.config.seed, stage.name, done, *session.processes.place)
            pending.append(place | stage.step(batch, mine, done))
        examples += len(indices)
        done += 1
        scores = done % eval_every == 0 or done == total
        saves = done % train.checkpoint_steps == 0 or done == total
        if not (scores or saves or done % together == 0):
            continue
        rows, stops = read_rows(pending, session.processes, stop=session.flag.is_set)
        seconds = time.perf_counter() - began
        for row in rows:
            if not math.isfinite(row["loss"]):
                raise diverged(row["step"])
            row["examples_per_second"] = examples / seconds
        used.seconds += seconds
        used.communication_seconds += session.processes.seconds - talked
        used.examples += examples
        used.steps = done
        if scores:
            sound_state()
            began = time.perf_counter()
            rows[-1] |= stage.evaluate(done) or {}
            used.evaluation_seconds += time.perf_counter() - began
        for row in rows:
            session.metrics.add(row)
            session.progress.step(row)
        stops = stops if session.processes.count > 1 else session.flag.is_set
        if stops and done < total and not stage.ended:
            save()
            raise Interrupted(f"in stage '{stage.name}', step {done}", session.resume_command)
        if saves or stage.ended:
            save()
        pending, examples, began = [], 0, time.perf_counter()
        talked = session.processes.seconds
    session.metrics.flush()
    return used
