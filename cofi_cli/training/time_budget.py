"""The cost of a step of each stage on this machine, and the steps that a time allows."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from cofi_cli.errors import enough_memory
from cofi_cli.format import clock
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.distillation import teacher_taps
from cofi_cli.pruning.lagrangian import RAMP_POWERS
from cofi_cli.tasks import Encoded
from cofi_cli.training.distiller import uses_layers
from cofi_cli.training.session import Session
from cofi_cli.training.stages.batch import make_batch
from cofi_cli.training.stages.checkpoint import load_state, reading_state
from cofi_cli.training.stages.dense import DenseStage
from cofi_cli.training.stages.prune import PruneStage
from cofi_cli.training.stages.recover import RecoverStage
from cofi_cli.training.stages.schedule import Schedule, total_steps
from cofi_cli.training.teacher.obtain import load_for_task, make_distiller, room_on_disk
from cofi_cli.training.teacher.outputs import TeacherOutputs

_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the rows' lengths, where a batch of each is timed."""
_FORWARD = 1 / 3
"""Share of a step's time that an evaluation of as many rows takes, about."""
_RAMP = 1.5
"""Cost of a step of the ramp beyond a pruned one's, by what the ramp keeps (docs/log.md)."""
_LEAST_SHARE = 1 / 3
"""Least share of the minutes that pruning and recovery get, however long the teacher took."""


@dataclass(frozen=True)
class Costs:
    """Seconds a step of each stage.

    Attributes:
        teacher: of training one; 0 where none is trained.
        answers: of a teacher's answers to one batch.
        dense: of pruning while all gates are open.
        pruned: of pruning at the target.
        recover: of recovery.
        keeps_answers: whether answers are computed once, before pruning.
    """

    teacher: float
    answers: float
    dense: float
    pruned: float
    recover: float
    keeps_answers: bool

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """Seconds that each stage will take, evaluations included."""

    teacher: float
    outputs: float
    prune: float
    recover: float

    @property
    def total(self) -> float:
        """Seconds of the whole run, without loading and saving."""
        return self.teacher + self.outputs + self.prune + self.recover


class _Given(TeacherOutputs):
    """Answers of fixed batches, so that a step is timed without its teacher's forward pass."""

    def put(self, answers: dict[tuple[int, ...], tuple[Tensor, Tensor]]) -> None:
        self._answers = answers

    def get(self, batch: dict[str, Tensor], indices: list[int]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self._answers[tuple(indices)]


Batch = tuple[list[int], dict[str, Tensor]]
"""Row numbers and their collated tensors."""


def _batches(session: Session, encoded: Encoded, precision: str) -> list[Batch]:
    """Return batches of rows of like length, one at each quantile."""
    order = np.argsort(encoded.lengths, kind="stable")
    size = min(session.config.prune.batch_size, len(order))
    found = []
    for quantile in _QUANTILES:
        start = min(max(0, round(quantile * len(order)) - size // 2), len(order) - size)
        indices = order[start : start + size].tolist()
        found.append(make_batch(session, encoded, indices, precision=precision))
    return found


def _seconds(work: Callable[[list[int], dict[str, Tensor]], object], batch: Batch) -> float:
    """Return the time of the second of two calls: the first compiles and allocates."""
    for _ in range(2):
        began = time.perf_counter()
        work(*batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent = time.perf_counter() - began
    return spent


def measure_costs(session: Session, model: CofiForTask) -> Costs:
    """Time some steps of each stage on copies of a model; nothing of the run changes.

    Args:
        session: an open run.
        model: dense, with the task's head.
    """
    config = session.config
    taps = teacher_taps(model.config.num_hidden_layers) if uses_layers(config.distill) else []
    precision = session.precision(hidden=model.config.hidden_size)
    batches = _batches(session, session.imitated, precision)

    def mean(
        step: Callable[[list[int], dict[str, Tensor]], object], on: list[Batch] = batches
    ) -> float:
        size = config.prune.batch_size
        with enough_memory(
            "while steps are timed", batch_size=size, setting="--set prune.batch_size"
        ):
            return statistics.mean(_seconds(step, batch) for batch in on)

    outputs = _Given(
        copy.deepcopy(model),
        session.imitated,
        taps=taps,
        pad_id=session.pad_id,
        device=session.device,
        budget_gb=config.prune.teacher_cache_gb,
        disk_gb=room_on_disk(session),
        folder=session.run.checkpoints,
        mask_padding=config.distill.mask_padding,
        precision=precision,
    )
    outputs.teacher.to(session.device)
    answers = mean(lambda _, batch: outputs._run(batch))
    outputs.put({tuple(indices): outputs._run(batch) for indices, batch in batches})

    teacher = 0.0
    if config.teacher.path is None and session.splits["train"].labels is not None:
        fine = DenseStage(session, copy.deepcopy(model), config.teacher)
        labelled = _batches(session, session.splits["train"], precision)
        teacher = mean(lambda indices, batch: fine.step(batch, indices, 0), labelled)
        del fine  # before the next copy, with its optimiser
    steps = Schedule(dense=1, ramp=0, prune=2, recover=1)
    distiller = make_distiller(session, outputs)
    stage = PruneStage(session, copy.deepcopy(model), distiller, steps)
    dense = mean(lambda indices, batch: stage.step(batch, indices, 0))
    stage.gates.hold(stage.goal.reduction)
    pruned = mean(lambda indices, batch: stage.step(batch, indices, 1))
    plan = stage.plan()
    small = compact(stage.student, plan)
    late = RecoverStage(
        session, small, distiller, config.recover, steps=1, kept=torch.tensor(plan.hidden)
    )
    recover = mean(lambda indices, batch: late.step(batch, indices, 0))
    return Costs(teacher, answers, dense, pruned, recover, keeps_answers=outputs.is_kept)


def estimate(session: Session, costs: Costs, steps: Schedule) -> Estimate:
    """Return how long the stages will take.

    A step of the ramp costs more than the share of the weights that it keeps: samples with half of
    the weights closed are hardly cheaper than dense ones.
    """
    config, rows = session.config, len(session.splits["train"])
    size, dev = config.prune.batch_size, len(session.splits["validation"])
    per_epoch = math.ceil(rows / size)

    def evaluations(count: int, cost: float) -> float:
        often = math.ceil(count / per_epoch * config.train.evals_per_epoch)
        return often * dev / size * cost * _FORWARD

    teacher = 0.0
    if costs.teacher:
        settings = config.teacher
        count = total_steps(rows, batch_size=settings.batch_size, epochs=settings.epochs)
        teacher = count * costs.teacher * settings.batch_size / size
        teacher += evaluations(count, costs.teacher)
    each = 0.0 if costs.keeps_answers else costs.answers
    keeps = costs.keeps_answers and steps.prune > 0
    late = steps.prune - steps.dense - steps.ramp
    kept = _RAMP / (RAMP_POWERS[config.prune.ramp] + 1)
    pruning = steps.dense * costs.dense + steps.ramp * (
        kept * costs.dense + (1 - kept) * costs.pruned
    )
    pruning += late * costs.pruned + steps.prune * each
    return Estimate(
        teacher=teacher,
        outputs=len(session.imitated) / size * costs.answers if keeps else 0.0,
        prune=pruning + evaluations(late, costs.pruned),
        recover=sum(
            steps.recover * (cost + each) + evaluations(steps.recover, cost)
            for cost in _recoveries(session, costs)
        ),
    )


def _recoveries(session: Session, costs: Costs) -> list[float]:
    """Return the seconds of a step of recovery, of each size: by what is kept, linear to dense."""
    kept = [1 - goal.reduction for goal in session.sizes]
    least = kept[-1]
    more = max(costs.dense - costs.recover, 0.0)
    return [costs.recover + more * (own - least) / (1 - least or 1) for own in kept]


def fit(session: Session, costs: Costs, steps: Schedule, *, minutes: float) -> Schedule:
    """Return the schedule, longer or shorter, that ends after a number of minutes.

    A teacher that has to be trained keeps its epochs. Pruning and recovery share what is left,
    a third of the minutes at least.
    """
    first = estimate(session, costs, steps)
    given = 60 * minutes
    left = max(given - first.teacher - first.outputs, given * _LEAST_SHARE)
    return steps.scaled(left / (first.prune + first.recover))


def obtain_schedule(session: Session) -> Schedule:
    """Return the run's steps: as configured, or as many as ``train.minutes`` allow.

    They are settled once, before anything is trained, and kept for ``--resume``.
    """
    config, path = session.config, session.run.checkpoints / "schedule.pt"
    if config.prune.method == "fast":
        return Schedule.of(config.prune, config.recover, rows=0)
    if not session.processes.exists(path):
        rows = len(session.splits["train"])
        steps = Schedule.of(config.prune, config.recover, rows=rows)
        costs = measure_costs(session, load_for_task(session, config.model))
        if config.train.minutes is not None:
            steps = fit(session, costs, steps, minutes=config.train.minutes)
        session.progress.message(in_words(estimate(session, costs, steps)))
        session.save(path, {"steps": steps.as_dict(), "costs": costs.as_dict()})
    steps = load_state(path, "steps")["steps"]
    with reading_state(path):
        return Schedule(**steps)


def in_words(found: Estimate) -> str:
    """Say how long a run will take, stage by stage."""
    parts = {
        "teacher": found.teacher + found.outputs,
        "pruning": found.prune,
        "recovery": found.recover,
    }
    stages = ", ".join(f"{name} {clock(seconds)}" for name, seconds in parts.items() if seconds)
    return f"This will take about {clock(found.total)} ({stages}), by steps timed just now."
