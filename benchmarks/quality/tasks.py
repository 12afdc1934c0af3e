"""What is measured: tasks, sparsities and seeds, and each task's budget. Data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MODEL = "demo"
"""The encoder that all tasks prune, unless another is named: all-MiniLM-L6-v2."""
SEEDS: Mapping[float, tuple[int, ...]] = {
    0.8: (57, 58, 59),
    0.9: (57,),
    0.95: (57, 58, 59),
    0.98: (57,),
}
"""Sparsity -> seeds."""
WITH_TEXT = "with_text"
"""Ours with unlabelled text (texts.py) in the place of changed copies, in as many steps; of tasks
of single texts."""
RIVALS = ("word_vectors", "fixed_structure", "graph_pruning")
FIXED_STRUCTURE_BUDGET = "steps"
"""What the fixed structure has as much of as ours: ``steps``, or ``seconds`` if that is more."""
CALIBRATION_ROWS = 256
"""Training rows that graph pruning looks at."""


@dataclass(frozen=True)
class Row:
    """A task and its budget.

    Attributes:
        task: as ``cofi --task`` knows it.
        folder: of its files, below the data folder; ``None`` = made of SQuAD (ablation/pairs.py).
        preset: what the budget is laid on; ``None`` = the task's own.
        settings: the budget: what differs from the preset.
        length: tokens of a row whose latency is measured.
        takes_text: whether a line of unlabelled text can be a row.
        has_teacher: whether a teacher is trained; an embedder is its own.
        note: what a reader must know.
    """

    task: str
    folder: str | None
    preset: str | None = "quick"
    settings: Mapping[str, object] = field(default_factory=dict)
    length: int = 64
    takes_text: bool = False
    has_teacher: bool = True
    note: str = ""


ROWS: Mapping[str, Row] = {
    "sst2_sentences": Row("sst2", "sst2_sentences", takes_text=True),
    "mrpc": Row("mrpc", "mrpc", preset="glue-small"),
    "stsb": Row("stsb", "stsb"),
    "qnli": Row(
        "qnli",
        None,
        settings={
            "task.max_length": 128,
            "teacher.epochs": 1,
            "prune.epochs": 3,
            "prune.ramp_epochs": 1,
            "prune.ramp": "linear",
            "prune.gate_learning_rate": 0.1,
            "recover.epochs": 3,
        },
        note="trained on pairs made of 44 articles of SQuAD, scored on QNLI's dev set",
    ),
    "cola": Row("cola", "cola", preset="glue-small", takes_text=True),
    "wnut17": Row("wnut17", "wnut17", preset="tokens", takes_text=True),
    "squad": Row(
        "squad",
        "squad_v1.1",
        settings={
            "task.max_length": 256,
            "task.doc_stride": 64,
            "teacher.epochs": 1.5,
            "prune.epochs": 8,
            "prune.ramp_epochs": 2.4,
            "prune.gate_learning_rate": 0.1,
            "train.evals_per_epoch": 0.25,
            "recover.epochs": 6,
        },
        length=256,
        note="trained on 44 of the 442 training articles of SQuAD 1.1, scored on its whole dev set",
    ),
    "stsb-embedding": Row(
        "stsb-embedding",
        "stsb",
        preset="embedding",
        takes_text=True,
        has_teacher=False,
        note="the teacher is the model itself; no label is read",
    ),
}
"""Name -> row. Budgets are minutes on two cores without a GPU, far below the paper's."""


@dataclass(frozen=True)
class Cell:
    """One row of the table: a task at a sparsity with a seed.

    Attributes:
        name: of the task, in :data:`ROWS`.
        sparsity: removed / prunable.
        seed: of all randomness.
        data: the folder of all data sets.
        output: where runs go.
        threads: of training and of latency.
        model: the encoder.
    """

    name: str
    sparsity: float
    seed: int
    data: Path
    output: Path
    threads: int
    model: str = MODEL

    @property
    def row(self) -> Row:
        """The task and its budget."""
        return ROWS[self.name]

    @property
    def shared(self) -> Path:
        """Folder of what does not depend on the sparsity: teacher, word vectors."""
        return self.output / self.name / f"{self.seed}"

    @property
    def folder(self) -> Path:
        """Folder of the cell's own runs."""
        return self.shared / f"{self.sparsity:g}"


def cells(
    names: Sequence[str], sparsities: Sequence[float], seeds: Sequence[int]
) -> Iterator[tuple[str, float, int]]:
    """Yield the part of the table that was asked for, one seed after the other."""
    for name in names:
        for seed in seeds:
            yield from ((name, s, seed) for s in sparsities if seed in SEEDS[s])
