"""The configuration of a benchmark: each default of ``cofi bench`` stands here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from cofi_cli.config.max_drop import MaxDrop
from cofi_cli.config.section import Lengths, Provider, Section, Sizes


class BenchConfig(Section):
    """What a benchmark measures, and what it judges."""

    explained = "cofi bench --help explains every option."

    baseline: Path | None = None
    """Model that the other models are compared with. Default: the dense model, else the first
    one."""
    provider: Provider = "cpu"
    """Device to run the models on."""
    batch: Sizes = (1, 32)
    """Batch sizes, separated by commas. Default: 1,32, and 1 with --table."""
    seq_len: Lengths | None = None
    """Lengths in tokens, separated by commas. The word task stands for the rows of the task at
    their own lengths. Default: 128, or the longest input of the models."""
    threads: int | None = Field(None, ge=1)
    """Number of threads. Default: one per physical core."""
    runs: int = Field(30, ge=1)
    """Timed runs of each model in each case."""
    warmup: int = Field(3, ge=0)
    """Untimed runs before the timed ones."""
    max_seconds: float = Field(30.0, gt=0)
    """Most seconds for each model and case. Slow cases get fewer runs."""
    min_seconds: float | None = Field(None, ge=0)
    """Fewest seconds for each model and case. Fast cases get more runs. Default: 1, or
    --max-seconds if that is less."""
    all_sizes: bool = False
    """Time and score every size of a run that made several, and draw its curve of score against
    latency. Sizes without an export are exported as the chosen one was. Gates judge the chosen
    size."""
    torch: bool | None = None
    """Also time and score the checkpoints in PyTorch. Default: checkpoints of the targets are
    timed, where PyTorch serves the provider, and not scored."""
    task: str | None = None
    """Built-in task to score on. Default: the task of the first run; models of runs with another
    task get no score."""
    data: str | None = None
    """Folder with the task's files."""
    score: bool = True
    """Score the models."""
    score_rows: int | None = Field(None, ge=1)
    """Score on the first N rows. Default: all."""
    min_speedup: float | None = Field(None, gt=0)
    """Smallest speedup that passes, at equal precision where both models have it."""
    max_drop: MaxDrop = ()
    """Largest loss of score that passes, against the baseline. Also of a label or of some rows:
    recall[LABEL]=0.2, accuracy[COLUMN=VALUE]=1. May be given several times."""
    compare: Path | None = None
    """An earlier result to compare with: a bench.json, or a run that has one."""
    fail_if: tuple[str, ...] = ()
    """Fail if a metric has changed since --compare: METRIC>CHANGE or METRIC<CHANGE, in quotes,
    CHANGE with its sign and in % or the metric's unit. Examples: "speedup<-5%", "score<-0.5",
    "memory>+20MB". Metrics: speedup (x, over the baseline of the same session), p50, p90, p99,
    mean (ms), throughput (examples/s), score, recall[LABEL], precision[LABEL], f1[LABEL],
    accuracy[COLUMN=VALUE] (points), memory, size (MB), cold-start (s). A change that is too noisy
    to judge fails. May be given several times."""
    gate_case: str | None = None
    """Judge only this case, such as b1-s128."""
    gate_model: str | None = None
    """Judge only this model, such as model_int8. Default: every model except dense ones, those in
    PyTorch and the baseline."""

    @model_validator(mode="after")
    def _fits_together(self) -> BenchConfig:
        """Refuse more seconds at least than at most, and a comparison with nothing."""
        if self.min_seconds is not None and self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds is {self.min_seconds:g}, more than max_seconds, which is "
                f"{self.max_seconds:g}; raise max_seconds as well"
            )
        if self.fail_if and self.compare is None:
            raise ValueError(
                f"fail_if '{self.fail_if[0]}' needs an earlier result to compare with; "
                "add --compare old/bench.json"
            )
        return self
