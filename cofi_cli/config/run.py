"""The configuration of a run: frozen models that mirror the YAML, key for key.

Every default of a run is decided here and nowhere else. The values with a source are named in
the presets' comments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from cofi_cli.config.section import Bytes, Pieces, Section, bytes_of

_KINDS = Path(__file__).parents[1] / "tasks" / "kinds"
KIND_NAMES = tuple(sorted(path.stem for path in _KINDS.glob("*.py") if path.stem != "__init__"))
"""Kinds of task: each file of the folder defines the one of its name."""
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[KIND_NAMES]
GateGroup = Literal["head", "attention", "ffn_dim", "ffn", "hidden"]
ALL_GATES: tuple[GateGroup, ...] = ("head", "attention", "ffn_dim", "ffn", "hidden")


TARGETS = ("sparsity", "speedup", "latency")
"""Settings of section prune that state what is asked for; a run has one of them."""


class TaskConfig(Section):
    """What is learned: a built-in task by name, or the user's own files."""

    name: str | None = None
    """A built-in task (``cofi presets --tasks`` lists them); ``None`` with ``train`` set."""
    data: str | None = None
    """A local folder with a built-in task's files, such as ``train.tsv`` and ``dev.tsv``."""
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    extra: str | None = None
    """More texts, whose labels are unread or unknown: the teacher answers for them."""
    text: tuple[str, ...] = ()
    """Text column or columns (two for a sentence pair); empty means guess. A number, from 1,
    or from -1 at the end, in files without a header."""
    label: str | tuple[str, ...] | None = None
    """Label column; ``None`` means guess. Several are 0/1 columns of a multilabel task."""
    separator: str | None = None
    """Between the labels of one cell (multilabel); ``none`` = one label a cell; ``None`` tells."""
    kind: KindName | None = None
    """What own files hold; ``None`` tells by their extension or labels."""
    unlabelled: bool = False
    """Learn from a teacher and texts alone: of the training rows, no label is read."""
    max_length: int = Field(128, ge=4)
    doc_stride: int = Field(128, ge=0)
    """Tokens that neighbouring windows of a long context share, half a window at most (span)."""


class TeacherConfig(Section):
    """The dense model that is fine-tuned on the task and then imitated."""

    path: str | None = None
    """A fine-tuned model to use as it is; ``None`` trains one."""
    epochs: float = Field(3, gt=0)
    learning_rate: float | None = Field(None, gt=0)
    """``None`` = by the encoder's width: 1e-4 at 384, 5e-5 at 768."""
    warmup_ratio: float = Field(0.06, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    batch_size: int = Field(32, ge=1)


class DistillConfig(Section):
    """Prediction and layerwise distillation (CoFi, section 2.3)."""

    temperature: float = Field(2.0, gt=0)
    prediction_weight: float = Field(0.1, ge=0)
    layer_weight: float = Field(0.9, ge=0)
    label_weight: float = Field(0.0, ge=0)
    """Weight of the loss against the labels; as in the paper they are not used beside a teacher."""
    matching: Literal["nearest", "ordered", "fixed", "none"] = "nearest"
    """Which student layer learns from a tapped teacher layer; ``fixed``: the one of its number."""
    dropout: float | None = Field(0.0, ge=0, lt=1)
    """Of the student while it is distilled; ``None`` = as its configuration says."""
    augment: int = Field(0, ge=0)
    """Changed copies of each training row that the teacher answers for and the student imitates."""
    mask_padding: bool = True
    """Leave padding positions out of the layer loss (the reference keeps them in)."""

    @model_validator(mode="after")
    def _has_a_loss(self) -> DistillConfig:
        """Refuse weights that leave nothing to learn from."""
        layers = self.layer_weight if self.matching != "none" else 0.0
        if self.prediction_weight + self.label_weight + layers == 0:
            raise ValueError(
                "prediction_weight, layer_weight and label_weight leave no loss; "
                "raise one of them (layer_weight needs a matching other than none)"
            )
        if self.augment and self.label_weight:
            raise ValueError(
                "label_weight needs labels, which the rows made by augment do not have; "
                "set one of the two to 0"
            )
        return self


class PruneConfig(Section):
    """Gates, constraint and schedule of the pruning stage."""

    sparsity: float | None = Field(0.95, ge=0, lt=1)
    """Share of the prunable weights to remove; ``None`` with ``speedup`` or ``latency`` set."""
    speedup: float | None = Field(None, ge=1)
    """Times as fast as the dense model, in the case of section ``case``."""
    latency: str | None = Field(None, pattern=r"^\d+(\.\d+)?(us|ms|s)$")
    """Time of a call there, with its unit: ``5ms``."""
    table: str | None = None
    """A latency table that was measured for the model's shape (JSON); ``None`` = it is measured
    before training."""
    milestones: tuple[float, ...] = ()
    """Smaller sparsities or speedups on the way to the target, ascending; each becomes a size of
    its own, as ``--sparsity 0.6,0.8,0.95`` asks for."""
    max_drop: float | None = Field(None, ge=0)
    """Points of validation score that the chosen size may lose against the teacher."""
    epochs: float = Field(8, gt=0)
    """All epochs of the stage, the dense and the ramp epochs among them."""
    dense_epochs: float = Field(0, ge=0)
    """Distillation of the dense student before any gate may close."""
    ramp_epochs: float = Field(3, ge=0)
    """The target rises linearly from 0 over these epochs."""
    batch_size: int = Field(32, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    """Of the weights while nothing is pruned; ``None`` = as the teacher's by width."""
    rate_growth: float = Field(0.5, ge=0, le=1)
    """The rate is divided by this power of the share of weights that the target keeps."""
    gate_learning_rate: float = Field(0.1, gt=0)
    gate_schedule: Literal["settle", "constant"] = "settle"
    """``settle`` lets the gates' rate fall linearly to 0 once the ramp is over."""
    multiplier_learning_rate: float = Field(0.1, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    gates: tuple[GateGroup, ...] = Field(ALL_GATES, min_length=1)
    """The groups that are learned; units of the others all stay."""
    gate_init: Literal["open", "reference"] = "open"
    gate_floor: float = Field(-8.0, lt=0, ge=-20)
    """Lower bound of a gate's log-alpha; the reference's is -4.605."""
    constraint: Literal["held", "lagrangian"] = "held"
    """``held`` keeps expected sparsity on target; ``lagrangian`` is the reference's pure ascent."""
    eval_gates: Literal["hard", "soft"] = "hard"
    """Whether kept gates are exactly 1 in the pruned model, or stay soft as in the reference."""
    round_widths_to: int = Field(1, ge=1)
    """Hidden and FFN widths are multiples of this."""
    best: Literal["at_target", "reference"] = "at_target"
    """``reference`` arms once the target was reached and then ignores sparsity."""
    student_init: Literal["auto", "pretrained", "teacher"] = "auto"
    """``auto`` starts as the teacher where it has the model's shape, else as the model."""
    freeze_embeddings: bool = True
    teacher_cache_gb: float = Field(4.0, ge=0)
    """Memory for kept teacher outputs; 0 runs the teacher at each step."""
    teacher_disk_gb: float = Field(20.0, ge=0)
    """Disk space for them where memory does not hold them; they are kept in bf16 then."""

    @model_validator(mode="before")
    @classmethod
    def _speed_instead(cls, values: Any) -> Any:
        """A speed takes the place of the default sparsity."""
        speeds = ("speedup", "latency")
        if isinstance(values, Mapping) and any(values.get(key) is not None for key in speeds):
            return {"sparsity": None, **values}
        return values

    @property
    def is_speed(self) -> bool:
        """Whether a speed is asked for, not a number of weights."""
        return self.sparsity is None

    @property
    def seconds(self) -> float | None:
        """The latency that is asked for."""
        if self.latency is None:
            return None
        number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", self.latency).groups()  # type: ignore[union-attr]
        return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]

    @model_validator(mode="after")
    def _has_one_target(self) -> PruneConfig:
        """Refuse none or two targets, and a table without a speed."""
        given = [key for key in TARGETS if getattr(self, key) is not None]
        if len(given) > 1:
            count = {2: "two", 3: "three"}[len(given)]
            raise ValueError(f"{' and '.join(given)} are {count} targets; give one of them")
        if not given:
            raise ValueError("no target is given; set sparsity, speedup or latency")
        if self.table is not None and not self.is_speed:
            raise ValueError("table is given without a speed; give both: --speedup X --table FILE")
        self._check_milestones()
        if self.seconds == 0:
            raise ValueError("latency is 0; give a time above it, such as 5ms")
        return self

    def _check_milestones(self) -> None:
        """Refuse sizes that do not ascend, or begin below what there is."""
        if not self.milestones:
            return
        target = self.sparsity if self.speedup is None else self.speedup
        if target is None:
            raise ValueError(
                "latency asks for one size; sizes are asked for by sparsity or speedup"
            )
        sizes, least = (*self.milestones, target), 0 if self.speedup is None else 1
        listed = ", ".join(f"{size:g}" for size in sizes)
        if any(a >= b for a, b in pairwise(sizes)):
            raise ValueError(
                f"sizes {listed} do not ascend; give them from the largest model to the smallest, "
                "such as --sparsity 0.6,0.8,0.95"
            )
        if sizes[0] <= least:
            raise ValueError(f"sizes {listed} begin at {sizes[0]:g}; the first is above {least}")

    @model_validator(mode="after")
    def _leaves_time_at_the_target(self) -> PruneConfig:
        """Refuse a schedule that ends before the target is asked for."""
        before = self.dense_epochs + self.ramp_epochs
        if before >= self.epochs:
            raise ValueError(
                f"dense_epochs + ramp_epochs is {before:g}, which leaves none of the "
                f"{self.epochs:g} epochs at the target; raise prune.epochs or lower the others"
            )
        return self


class CaseConfig(Section):
    """Where and on what inputs the exported model runs: what a speed is stated for.

    What is not said is as in the latency table, where there is one.
    """

    provider: Literal["cpu", "cuda"] | None = None
    """``None`` = cpu."""
    precision: Literal["fp32", "int8", "fp16"] | None = None
    """``None`` = fp32."""
    batch: int | None = Field(None, ge=1)
    """Rows of a call; ``None`` = 1."""
    seq_len: Annotated[int, Field(ge=1)] | Literal["task"] | None = None
    """Tokens of each row; ``task`` = the task's rows at their own lengths; ``None`` = 128, or the
    longest that the model takes."""
    threads: int | None = Field(None, ge=1)
    """Of onnxruntime; ``None`` = as training, or one a core."""


class RecoverConfig(Section):
    """Fine-tuning of the compact model, still distilled."""

    epochs: float = Field(6, ge=0)
    learning_rate: float | None = Field(None, gt=0)
    """``None`` = what pruning reached at its target."""
    schedule: Literal["constant", "linear"] = "linear"
    patience: int = Field(6, ge=0)
    """Evaluations without a better score after which recovery ends; 0 = it never ends early."""
    batch_size: int = Field(32, ge=1)
    weight_decay: float = Field(0.0, ge=0)
    freeze_embeddings: bool = False


class TrainConfig(Section):
    """What all stages share."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto`` measures as a run begins whether bf16 is fast here, and takes it where it pays."""
    grad_clip: float = Field(1.0, gt=0)
    evals_per_epoch: float = Field(1.0, gt=0)
    eval_batch_size: int = Field(64, ge=1)
    checkpoint_steps: int = Field(250, ge=1)
    keep_checkpoints: bool = False
    """Whether ``checkpoints/``, of no use once a run has finished, stays then."""
    group_by_length: bool = True
    baseline: bool = False
    """Also train word vectors alone, without an encoder, and state their scores in the report."""
    minutes: float | None = Field(None, gt=0)
    """Time of the whole run; the epochs of pruning and recovery are then scaled to fit into it."""
    threads: int | None = Field(None, ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = "auto"


class RunConfig(Section):
    """Everything that a run depends on; written to ``config.yaml`` of the run."""

    model: str
    """A hub id or a local folder."""
    task: TaskConfig = TaskConfig()
    seed: int = Field(57, ge=0, lt=2**32)
    """As large as numpy takes it."""
    vocab: Pieces | None = None
    """Pieces that the tokenizer keeps; ``None``: all."""
    embedding_rank: int | None = Field(None, ge=1)
    """Columns of the compact model's table of word vectors, factorised before it recovers;
    ``None``: it stays whole."""
    size: Bytes | None = None
    """Bytes of the exported folder in int8: the rank is chosen to fit once the model is compact;
    ``None``: the table is as ``vocab`` and ``embedding_rank`` say."""
    teacher: TeacherConfig = TeacherConfig()
    prune: PruneConfig = PruneConfig()
    case: CaseConfig = CaseConfig()
    distill: DistillConfig = DistillConfig()
    recover: RecoverConfig = RecoverConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _has_one_rank(self) -> RunConfig:
        """Refuse a rank where it is chosen."""
        if self.size is not None and self.embedding_rank is not None:
            raise ValueError("size chooses embedding_rank; give one of the two")
        return self

    @property
    def budget(self) -> int | None:
        """The bytes that ``size`` allows."""
        return None if self.size is None else bytes_of(self.size)
