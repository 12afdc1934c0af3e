"""``prune.method: fast``: units chosen by importance and outputs refitted, without training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.cost import Cost
from cofi_cli.pruning.importance import Scores, importance, most_important
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.refit import refit
from cofi_cli.runs.records import StageSummary
from cofi_cli.tasks import collate
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.session import Session
from cofi_cli.training.stages.seeding import generator

ROWS, TOKENS = 512, 8192
"""Training rows that importance and least squares look at: so many, or of so many tokens."""
_BATCH = 32


@dataclass(frozen=True)
class PostTraining:
    """What is known of a fine-tuned model's units.

    Attributes:
        model: dense.
        scores: importance of its units.
        batches: the rows that were looked at.
        seconds: that it took.
    """

    model: CofiForTask
    scores: Scores
    batches: list[dict[str, Tensor]]
    seconds: float

    @classmethod
    def of(cls, session: Session, model: CofiForTask) -> PostTraining:
        """Look at some training rows."""
        began = time.perf_counter()
        model.to(session.device).eval()
        batches = _batches(session)
        session.progress.stage("importance", len(batches))
        source = generator(session.config.seed, "importance")

        def told() -> Iterator[dict[str, Tensor]]:
            for number, batch in enumerate(batches):
                yield batch
                session.progress.step({"stage": "importance", "step": number + 1})

        scores = importance(model, told(), generator=source)
        return cls(model, scores, batches, time.perf_counter() - began)

    def plan(self, cost: Cost, reduction: float) -> PrunePlan:
        """Return the plan that reduces a cost so far."""
        return most_important(self.scores, cost, reduction)

    def refit(self, session: Session, small: CofiForTask) -> StageSummary:
        """Fit a compact model's outputs, in place; return what importance and fit took."""
        began = time.perf_counter()
        small.to(session.device).eval()
        parts = sum(bool(n) for n in (*small.config.layer_heads, *small.config.layer_ffn))
        session.progress.stage("least squares", parts)
        refit(
            small,
            self.model,
            self.batches,
            tick=lambda done: session.progress.step({"stage": "least squares", "step": done}),
        )
        rows = sum(len(batch["input_ids"]) for batch in self.batches)
        spent = self.seconds + time.perf_counter() - began
        return StageSummary(seconds=spent, examples=rows, examples_per_second=rows / spent)


def _batches(session: Session) -> list[dict[str, Tensor]]:
    """Return some training rows, drawn at random, as batches of like length."""
    encoded = session.imitated
    order = torch.randperm(len(encoded), generator=generator(session.config.seed, "calibration"))
    rows: list[int] = []
    tokens = 0
    for row in order[:ROWS].tolist():
        tokens += int(encoded.lengths[row])
        if rows and tokens > TOKENS:
            break
        rows.append(row)
    rows.sort(key=lambda row: int(encoded.lengths[row]))
    made = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        batch = collate(encoded, part, pad_id=session.pad_id, device=session.device)
        made.append({name: batch[name] for name in INPUTS})
    return made
