"""The configuration of a run: frozen models that mirror the YAML, key for key.

Every default of a run is decided here and nowhere else. The values with a source are named in
the presets' comments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from cofi_cli.config.prune import PruneConfig
from cofi_cli.config.section import Pieces, Section

_KINDS = Path(__file__).parents[1] / "tasks" / "kinds"
KIND_NAMES = tuple(sorted(path.stem for path in _KINDS.glob("*.py") if path.stem != "__init__"))
"""Kinds of task: each file of the folder defines the one of its name."""
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[KIND_NAMES]


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
    teacher: TeacherConfig = TeacherConfig()
    prune: PruneConfig = PruneConfig()
    case: CaseConfig = CaseConfig()
    distill: DistillConfig = DistillConfig()
    recover: RecoverConfig = RecoverConfig()
    train: TrainConfig = TrainConfig()
