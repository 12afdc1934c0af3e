"""Word vectors alone: what a task takes without an encoder, as a yardstick for pruned ones.

A text is the mean of its word vectors, which start as the encoder's own and are trained along;
one hidden layer reads it (Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic
Methods", with one layer). A pruned encoder that does no better is not worth its latency.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cofi_cli.errors import CofiError
from cofi_cli.tasks import Encoded, Ragged, Task, batches, no_labels
from cofi_cli.training.baselines.bag_model import WordVectors
from cofi_cli.training.baselines.word_bags import Bags, Marks, make_bags, reads, used_ids
from cofi_cli.training.objective import Objective
from cofi_cli.training.stages.optim import linear_decay, set_lr
from cofi_cli.training.stages.seeding import derive, seed_global

_PURPOSE = "word vectors"
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Fit:
    """How word vectors are trained.

    Attributes:
        epochs: of which the best on the dev set counts.
        batch_size: rows a step.
        learning_rate: of AdamW, falling linearly to 0.
        weight_decay: of the layers above the vectors.
        dropout: of the hidden layer and of what it reads.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.2


@dataclass(frozen=True)
class Fitted:
    """The result of training.

    Attributes:
        scores: split -> metric -> points, of every split but ``train`` that can be scored.
        epoch: the best one on the dev set, from 1.
        seconds: of training, evaluation not counted.
        parameters: of the vectors of all words and the layers.
        model: of the best epoch, with the vectors of all words.
    """

    scores: dict[str, dict[str, float]]
    epoch: int
    seconds: float
    parameters: int
    model: WordVectors


def fit(
    task: Task,
    splits: Mapping[str, Encoded],
    *,
    marks: Marks,
    table: Tensor,
    seed: int,
    settings: Fit | None = None,
    targets: NDArray[Any] | None = None,
) -> Fitted:
    """Train word vectors on a task's labels, and score them.

    Args:
        task: of a kind that word vectors can answer.
        splits: its rows, tokenised; ``train`` and ``validation`` at least.
        marks: of the tokenizer.
        table: the encoder's word embeddings, (V, d); it stays as it is.
        targets: for embedders, which have no labels, the teacher's vectors of the training
            rows, (rows, C).

    Raises:
        CofiError: spans, or training rows without labels.
    """
    own, table = settings or Fit(), table.detach().float().cpu()
    check(task)
    if not task.kind.has_labels and targets is None:
        raise ValueError("an embedder's word vectors are trained on its teacher's, targets")
    if task.kind.has_labels and splits["train"].labels is None:
        raise no_labels(task)
    what = reads(task)
    scored = {k: v for k, v in splits.items() if k != "train" and v.reference is not None}
    used = {"train": splits["train"], **scored}
    bags = {name: make_bags(encoded, marks, what) for name, encoded in used.items()}
    words = used_ids(bags.values())
    number = np.full(len(table), -1, dtype=np.int64)
    number[words] = np.arange(len(words))
    bags = {name: own_bags.renumbered(number) for name, own_bags in bags.items()}

    seed_global(seed, _PURPOSE)
    model = WordVectors(
        table[torch.from_numpy(words)],  # others get no gradient
        what=what,
        outputs=task.num_labels if targets is None else targets.shape[1],
        plain=targets is not None,
        dropout=own.dropout,
    )
    optimizer = _optimizer(model, own)
    best: tuple[float, int, dict[str, Tensor]] | None = None
    seconds = 0.0
    for epoch in range(own.epochs):
        began = time.perf_counter()
        _epoch(model, optimizer, task, used["train"], bags["train"], epoch, seed, own, targets)
        seconds += time.perf_counter() - began
        score = _score(model, task, scored["validation"], bags["validation"])[task.headline]
        if best is None or score > best[0]:
            best = (score, epoch + 1, {k: v.clone() for k, v in model.state_dict().items()})
    assert best is not None
    model.load_state_dict(best[2])
    scores = {name: _score(model, task, scored[name], bags[name]) for name in scored}
    whole = table.clone()
    whole[torch.from_numpy(words)] = model.table.weight.detach()
    model.table = nn.EmbeddingBag.from_pretrained(whole, mode="mean", include_last_offset=True)
    count = sum(parameter.numel() for parameter in model.parameters())
    return Fitted(scores, best[1], seconds, count, model.eval())


def check(task: Task) -> None:
    """Refuse what word vectors cannot answer.

    Raises:
        CofiError: the task is one of spans.
    """
    if task.kind.bag is None:
        raise CofiError(
            f"Word vectors alone cannot do task '{task.name}', {task.kind.summary}: "
            "they know nothing of order.",
            hint="They serve classes, numbers, rankings, tags and embeddings.",
        )


def _optimizer(model: WordVectors, settings: Fit) -> torch.optim.Optimizer:
    """Return AdamW; vectors of words that do not occur must not fade, so none decays."""
    vectors = {id(parameter) for parameter in model.table.parameters()}
    layers = [parameter for parameter in model.parameters() if id(parameter) not in vectors]
    groups: list[dict[str, Any]] = [
        {"params": list(model.table.parameters()), "weight_decay": 0.0},
        {"params": layers, "weight_decay": settings.weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _epoch(
    model: WordVectors,
    optimizer: torch.optim.Optimizer,
    task: Task,
    encoded: Encoded,
    bags: Bags,
    epoch: int,
    seed: int,
    settings: Fit,
    targets: NDArray[Any] | None,
) -> None:
    """Train for an epoch."""
    model.train()
    plan = batches(
        encoded.lengths,
        batch_size=settings.batch_size,
        seed=derive(seed, _PURPOSE, "order"),
        epoch=epoch,
        group_by_length=False,
    )
    for place, rows in enumerate(plan):
        step = epoch * len(plan) + place
        set_lr(optimizer, settings.learning_rate * linear_decay(step, settings.epochs * len(plan)))
        logits = model(*_inputs(bags, rows))
        if targets is None:
            loss = _loss(logits, task, encoded, bags, rows)
        else:
            theirs = torch.from_numpy(np.ascontiguousarray(targets[rows])).float()
            loss = Objective(task.kind).soft(logits, theirs, theirs, temperature=1.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _inputs(bags: Bags, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    parts = [bags.ids[number] for number in bags.numbers(rows)]
    ids = np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)
    ends = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    counts = np.diff(bags.starts)[rows]
    return torch.from_numpy(ids), torch.from_numpy(ends), torch.from_numpy(counts)


def _loss(logits: Tensor, task: Task, encoded: Encoded, bags: Bags, rows: list[int]) -> Tensor:
    labels: Any = encoded.labels
    hard = Objective(task.kind).hard
    if task.kind.bag == "words":
        own = labels.flat[bags.places[bags.numbers(rows)]]
        return hard(logits[None], {"labels": torch.from_numpy(own)[None]})
    return hard(logits, {"labels": torch.from_numpy(labels[rows])})


@torch.no_grad()
def predict(
    model: WordVectors, encoded: Encoded, bags: Bags, *, outputs: int
) -> NDArray[Any] | Ragged:
    """Return what :meth:`Task.score` takes: (rows, C), or rows of (length, C), 0 within words.

    Args:
        model: trained.
        bags: of the same split.
        outputs: C.
    """
    was_training = model.training
    model.eval()
    parts: list[NDArray[Any]] = [np.empty((0, outputs), dtype=np.float32)]
    for start in range(0, len(bags), _ROWS_AT_ONCE):
        rows = list(range(start, min(start + _ROWS_AT_ONCE, len(bags))))
        parts.append(model(*_inputs(bags, rows)).numpy())
    model.train(was_training)
    answers = np.concatenate(parts)
    if model.what != "words":
        return answers
    flat = np.zeros((int(encoded.lengths.sum()), outputs), dtype=np.float32)
    flat[bags.places] = answers
    return Ragged.over(flat, encoded.lengths)


def _score(model: WordVectors, task: Task, encoded: Encoded, bags: Bags) -> dict[str, float]:
    outputs = predict(model, encoded, bags, outputs=model.out.out_features)
    return task.score(outputs, encoded.reference)
