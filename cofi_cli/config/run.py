"""The configuration of a run: frozen models that mirror the YAML, key for key.

Every default of a run is decided here and nowhere else. The values with a source are named in
the presets' comments.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cofi_cli.config.prune import CaseConfig, PruneConfig
from cofi_cli.config.section import Bytes, Pieces, Section, bytes_of
from cofi_cli.config.task import TaskConfig


class TeacherConfig(Section):
    """The dense model that is fine-tuned on the task and then imitated."""

    path: str | None = None
    """A fine-tuned model to imitate. Default: one is trained."""
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


class RecoverConfig(Section):
    """Fine-tuning of the compact model, still distilled."""

    epochs: float = Field(8, ge=0)
    learning_rate: float | None = Field(None, gt=0)
    """``None`` = what pruning reached at its target."""
    schedule: Literal["constant", "linear"] = "linear"
    patience: int = Field(0, ge=0)
    """Evaluations without a better score after which recovery ends; 0 = it never ends early, as a
    rate that decays asks for: much is gained at its end."""
    tolerance: float = Field(0.5, ge=0)
    """Standard errors by which a later model may stay behind the best on the validation rows and is
    kept all the same: the best of many is partly luck. 0 = the best is kept."""
    batch_size: int = Field(32, ge=1)
    weight_decay: float = Field(0.0, ge=0)
    freeze_embeddings: bool = False


class TrainConfig(Section):
    """Settings of all stages."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of training. auto takes bf16 if it is fast on this machine."""
    grad_clip: float = Field(1.0, gt=0)
    evals_per_epoch: float = Field(1.0, gt=0)
    eval_batch_size: int = Field(64, ge=1)
    checkpoint_steps: int = Field(250, ge=1)
    keep_checkpoints: bool = False
    """Keep the folder checkpoints/ after the run has finished."""
    group_by_length: bool = True
    baseline: bool = False
    """Also train word vectors alone, without an encoder, and report their score."""
    minutes: float | None = Field(None, gt=0)
    """Minutes for the whole run. Steps are timed when the run starts, and the epochs of pruning
    and recovery are scaled to fit."""
    threads: int | None = Field(None, ge=1, le=4096)
    """Number of CPU threads, of training and of the speed that is asked for. Default: what PyTorch
    chooses."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


class RunConfig(Section):
    """Everything that a run depends on; written to ``config.yaml`` of the run."""

    model: str
    """A hub id or a local folder. Not needed where a preset or a file names the model."""
    task: TaskConfig = TaskConfig()
    seed: int = Field(57, ge=0, lt=2**32)  # as large as numpy takes it
    """Seed of all randomness. Default: 57."""
    vocab: Pieces | None = None
    """Keep N pieces of the tokenizer, those that the training rows use most. auto keeps the fewest
    that lengthen held-out texts by less than 2 %. Default: all."""
    embedding_rank: int | None = Field(None, ge=1)
    """Factorise the compact model's table of word vectors: N numbers a piece, and a matrix that
    widens them. Default: the table stays whole."""
    size: Bytes | None = None
    """Factorise the table of word vectors so far that the exported folder takes at most so many
    bytes in int8, such as 5MB."""
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
