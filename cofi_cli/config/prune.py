"""The sections ``prune`` and ``case`` of a run's configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cofi_cli.config.section import Section

GateGroup = Literal["head", "attention", "ffn_dim", "ffn", "hidden"]
ALL_GATES: tuple[GateGroup, ...] = ("head", "attention", "ffn_dim", "ffn", "hidden")

TARGETS = ("sparsity", "speedup", "latency")
"""Settings of section prune that state what is asked for; a run has one of them."""
FAMILY = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Sparsities of the sizes that a run makes where no target is stated."""
FAMILY_MAX_DROP = 1.0
"""Points of score that the size chosen among them may lose, where nothing else is said."""

_TIME = r"^\d+(\.\d+)?(us|ms|s)$"


class PruneConfig(Section):
    """Gates, constraint and schedule of the pruning stage."""

    sparsity: float | None = Field(None, ge=0, lt=1)
    """Share of the prunable weights to remove: at least 0 and less than 1. Several, such as
    0.6,0.8,0.95, make several sizes in one run. Default: 0.5,0.7,0.8,0.9,0.95, and the smallest
    that keeps --max-drop is chosen."""
    speedup: float | None = Field(None, ge=1)
    """Times as fast as the dense model, measured in onnxruntime. Instead of --sparsity. Several,
    such as 2,4,8, make several sizes."""
    latency: str | None = Field(None, pattern=_TIME)
    """Time of a call, such as 5ms. Instead of --sparsity. Several, such as 20ms,10ms,5ms, make
    several sizes."""
    table: str | None = None
    """A latency table from cofi bench --table, of this or another machine. Default: one is measured
    before training."""
    method: Literal["gates", "fast"] = "gates"
    """``fast`` chooses heads and FFN dims by their importance to the answers and refits outputs,
    without training: a preview, in about a minute."""
    milestones: tuple[float | Annotated[str, Field(pattern=_TIME)], ...] = ()
    """Targets of larger models on the way to the target, the largest first; each becomes a size of
    its own, as ``--sparsity 0.6,0.8,0.95`` or ``--latency 20ms,10ms,5ms`` asks for."""
    max_drop: float | None = Field(None, ge=0)
    """Choose the smallest size that loses at most this many points of validation score. Exit code
    3 if none does. Default: any loss, and 1 where no target is given."""
    epochs: float = Field(11, gt=0)
    """All epochs of the stage, the dense and the ramp epochs among them."""
    dense_epochs: float = Field(0, ge=0)
    """Distillation of the dense student before any gate may close."""
    ramp_epochs: float = Field(4, ge=0)
    """The target rises from 0 over these epochs."""
    ramp: Literal["cubic", "linear"] = "cubic"
    """``cubic`` rises fast while much can be spared, and slowly towards the target."""
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
    """Memory for the teacher's outputs. 0 runs the teacher at each step. Default: 4."""
    teacher_disk_gb: float = Field(20.0, ge=0)
    """Disk space for them where memory does not hold them; they are kept in bf16 then."""

    @model_validator(mode="before")
    @classmethod
    def _family_instead(cls, values: Any) -> Any:
        """Several sizes take the place of a target that is not stated."""
        if not isinstance(values, Mapping) or any(key in values for key in TARGETS):
            return values
        *larger, smallest = FAMILY
        family = {"milestones": larger, "sparsity": smallest, "max_drop": FAMILY_MAX_DROP}
        return family | dict(values)

    @property
    def copies_teacher(self) -> bool:
        """Whether the teacher itself is pruned, whatever its shape."""
        return self.method == "fast" or self.student_init == "teacher"

    @property
    def is_speed(self) -> bool:
        """Whether a speed is asked for, not a number of weights."""
        return self.sparsity is None

    @property
    def seconds(self) -> float | None:
        """The latency that is asked for."""
        return None if self.latency is None else seconds_of(self.latency)

    @property
    def larger(self) -> tuple[float, ...]:
        """The milestones as numbers: sparsities, speedups or seconds."""
        return tuple(seconds_of(own) if isinstance(own, str) else own for own in self.milestones)

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
        """Refuse sizes that are not from the largest model to the smallest, or need no pruning."""
        if not self.milestones:
            return
        kind = next(key for key in TARGETS if getattr(self, key) is not None)
        target, asked = getattr(self, kind), self.milestones
        if any(isinstance(own, str) is not isinstance(target, str) for own in asked):
            raise ValueError(
                f"milestones {_listed(asked)} are not of the same unit as {kind} {target}"
            )
        sizes = (*self.larger, self.seconds or target)
        shown, falls = _listed((*asked, target)), self.latency is not None
        if any(a <= b if falls else a >= b for a, b in pairwise(sizes)):
            flag = "--latency 20ms,10ms" if falls else "--sparsity 0.6,0.8,0.95"
            raise ValueError(
                f"sizes {shown} do not {'descend' if falls else 'ascend'}; give them from the "
                f"largest model to the smallest, such as {flag}"
            )
        least = {"sparsity": 0, "speedup": 1}.get(kind)
        if least is not None and sizes[0] <= least:
            raise ValueError(
                f"sizes {shown} begin at {sizes[0]:g}; the first must be above {least}"
            )

    @model_validator(mode="after")
    def _leaves_time_at_the_target(self) -> PruneConfig:
        """Refuse a schedule that ends before the target is asked for."""
        before = self.dense_epochs + self.ramp_epochs
        if before >= self.epochs and self.method == "gates":
            raise ValueError(
                f"dense_epochs + ramp_epochs is {before:g}, which leaves none of the "
                f"{self.epochs:g} epochs at the target; raise prune.epochs or lower the others"
            )
        return self


def seconds_of(latency: str) -> float:
    """Return the seconds of a time with its unit, such as ``5ms``."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", latency).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def _listed(sizes: Iterable[float | str]) -> str:
    return ", ".join(size if isinstance(size, str) else f"{size:g}" for size in sizes)


class CaseConfig(Section):
    """The machine and the inputs that a target speed is stated for.

    A setting that is left out is that of the latency table, if there is one.
    """

    provider: Literal["cpu", "cuda"] | None = None
    """Device that the exported model runs on. Default: cpu."""
    precision: Literal["fp32", "int8", "fp16"] | None = None
    """Precision of the exported model. Default: fp32."""
    batch: int | None = Field(None, ge=1)
    """Rows of a call. Default: 1."""
    seq_len: Annotated[int, Field(ge=1)] | Literal["task"] | None = None
    """Length of the rows in tokens. The word task stands for the rows of the task at their own
    lengths. Default: 128, or the longest input of the model."""
    threads: int | None = Field(None, ge=1)
    """Of onnxruntime; ``None`` = as training, or one a core."""
