"""Rival: a structure that nobody searched for, of as many weights, distilled with our own losses.

Some layers, evenly spread, keep the same number of heads and of FFN dims each; of the teacher's
units those with the largest weights. The hidden width stays.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from ours import Json, measure, open_run, seconds, summary, teacher
from runs import cofi, read
from tasks import FIXED_STRUCTURE_BUDGET, Cell

from cofi_cli.architectures import load_dense, resolve, save_tokenizer, write_modules
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.runs import write_atomic
from cofi_cli.training.outcome.artefacts import PLAN

FEW = 0.1
"""Share of weights kept up to which half of the layers go whole."""
HEAD_SHARE = 0.5
"""Of the weights that are kept, about so many are heads'."""


def fixed_structure(cell: Cell, *, bench: bool) -> Json:
    """Return the row."""
    ours, run = cell.folder / "ours", cell.folder / "fixed_structure"
    start = cell.folder / "fixed_structure_start"
    if not start.exists():
        _make_start(cell, start)
    epochs, steps = _epochs(cell)
    if not (run / "report.json").exists():
        resume = ["--resume"] if (run / "config.yaml").exists() else []
        cofi(
            *("finetune", start, "--config", ours / "config.yaml", "--teacher", teacher_of(cell)),
            *("--set", f"recover.epochs={epochs}", "-o", run, *resume),
        )
    report = read(run / "report.json")
    plan = PrunePlan(**json.loads((start / PLAN).read_text("utf-8")))
    row = summary(report["model"], report["stages"])
    row |= {"structure": plan.summary(), "steps": steps}
    return row | (measure(run, cell) if bench else {})


def teacher_of(cell: Cell) -> str:
    """Return the teacher's folder; an embedder is its own."""
    return resolve(teacher(cell))


def _epochs(cell: Cell) -> tuple[float, int]:
    """Return the epochs of the rival's training, and its steps: at least as many as ours.

    Where seconds are to be equal, our own recovery tells what a step of a small model takes.
    """
    report = read(cell.folder / "ours" / "report.json")
    stages = {name: row for name, row in report["stages"].items() if name != "teacher"}
    opened = open_run(cell.folder / "ours")
    steps = sum(int(row["steps"]) for row in stages.values())
    last = stages.get("recover")
    if FIXED_STRUCTURE_BUDGET == "seconds" and last is not None:
        steps = max(steps, math.ceil(seconds(stages) * last["steps"] / last["seconds"]))
    per_epoch = math.ceil(len(opened.splits["train"]) / opened.config.recover.batch_size)
    return steps / per_epoch, steps


def _make_start(cell: Cell, folder: Path) -> None:
    """Write the compact model that training starts from, with its plan."""
    ours, source = cell.folder / "ours", teacher_of(cell)
    opened = open_run(ours)
    task = opened.task
    model = load_dense(
        source,
        num_labels=task.num_labels,
        head=task.kind.head,
        labels=task.labels,
        problem_type=task.kind.problem_type,
    )
    weights = read(ours / "report.json")["model"]["prunable_params"]
    plan = even_plan(model, weights)
    small = compact(model, plan)

    def write(temporary: Path) -> None:
        small.eval().save_pretrained(temporary, safe_serialization=True)
        save_tokenizer(opened.tokenizer, temporary)
        if small.kind == "embedding":
            write_modules(small, temporary, source=source)
        (temporary / PLAN).write_text(plan.model_dump_json() + "\n", encoding="utf-8")

    write_atomic(folder, write)


def even_plan(model: CofiForTask, weights: int) -> PrunePlan:
    """Return a plan of about so many prunable weights, spread evenly.

    Args:
        model: dense.
        weights: prunable ones that the plan may keep.
    """
    shape = EncoderShape.of(model.config)
    layers = _layers(shape, weights)
    head, dim = shape.per_head(shape.hidden), shape.per_dim(shape.hidden)
    heads = round(HEAD_SHARE * weights / (len(layers) * head))
    heads = min(max(heads, 1), shape.n_heads)
    biases = len(layers) * shape.hidden * (shape.attention_bias + shape.ffn_bias)
    dims = (weights - len(layers) * heads * head - biases) // dim
    dims = min(max(dims, len(layers)), len(layers) * shape.ffn)
    kept_heads: list[list[int]] = [[] for _ in range(shape.n_layers)]
    kept_dims: list[list[int]] = [[] for _ in range(shape.n_layers)]
    for place, layer in enumerate(layers):
        count = dims // len(layers) + (place < dims % len(layers))
        kept_heads[layer] = _largest(head_norms(model, layer), heads)
        kept_dims[layer] = _largest(dim_norms(model, layer), count)
    return PrunePlan(
        shape=shape.as_dict(),
        heads=kept_heads,
        ffn=kept_dims,
        hidden=list(range(shape.hidden)),
    )


def _layers(shape: EncoderShape, weights: int) -> list[int]:
    """Return the layers that stay: all, or half of them, the first and the last among these."""
    if weights > FEW * shape.prunable * 1.01:
        return list(range(shape.n_layers))
    count = max(1, shape.n_layers // 2)
    if count == 1:
        return [shape.n_layers - 1]
    return [round(i * (shape.n_layers - 1) / (count - 1)) for i in range(count)]


def _largest(norms: torch.Tensor, count: int) -> list[int]:
    return sorted(norms.topk(count).indices.tolist())


def head_norms(model: CofiForTask, layer: int) -> torch.Tensor:
    """Return the norm of each head's weights, (heads,)."""
    own = model.model.encoder.layers[layer].attention
    parts = [own.query.weight, own.key.weight, own.value.weight, own.output.weight.T]
    rows = torch.cat([part.detach() for part in parts], dim=1).square().sum(1)
    return rows.view(-1, model.config.head_dim).sum(1).sqrt()


def dim_norms(model: CofiForTask, layer: int) -> torch.Tensor:
    """Return the norm of each FFN dim's weights, (dims,)."""
    own = model.model.encoder.layers[layer].ffn
    parts = [own.up.weight, own.down.weight.T]
    if getattr(own, "gate", None) is not None:
        parts.append(own.gate.weight)
    return torch.cat([part.detach() for part in parts], dim=1).square().sum(1).sqrt()
