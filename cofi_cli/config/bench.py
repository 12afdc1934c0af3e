"""The configuration of a benchmark: each default of ``cofi bench`` stands here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from cofi_cli.config.section import Lengths, Provider, Section, Sizes


class BenchConfig(Section):
    """What a benchmark measures, and what it judges."""

    explained = "cofi bench --help explains every option."

    baseline: Path | None = None
    """What the others are compared with; ``None``: the dense model, else the first one."""
    provider: Provider = "cpu"
    batch: Sizes = (1, 32)
    seq_len: Lengths | None = None
    """Lengths, each with every batch size; ``None``: 128, or the longest input of the models."""
    threads: int | None = Field(None, ge=1)
    """``None``: one per physical core."""
    runs: int = Field(30, ge=1)
    """Timed runs of each model in each case."""
    warmup: int = Field(3, ge=0)
    """Untimed runs before them."""
    max_seconds: float = Field(30.0, gt=0)
    """Most seconds for each model and case; slow cases get fewer runs."""
    min_seconds: float | None = Field(None, ge=0)
    """Fewest seconds for each model and case; fast cases get more runs. ``None``: 1, or
    ``max_seconds`` where that is less."""
    torch: bool | None = None
    """Also time and score the checkpoints in PyTorch; ``None``: those that are there are timed,
    where PyTorch serves the provider, and not scored."""
    task: str | None = None
    """A built-in task to score on; ``None``: that of the first run, and models of runs with
    another task are not scored."""
    data: str | None = None
    """The folder of that task's files."""
    score: bool = True
    score_rows: int | None = Field(None, ge=1)
    """Score on the first rows only."""
    min_speedup: float | None = Field(None, gt=0)
    """Smallest speedup that passes, in the slowest case or ``gate_case``; at equal precision where
    both models have it."""
    max_drop: float | None = None
    """Most points of score that may be lost against the baseline."""
    compare: Path | None = None
    """An earlier result: a bench.json, or a run that has one."""
    fail_if: tuple[str, ...] = ()
    """What may not have changed since then: :mod:`cofi_cli.benchmarking.gates.fail_if`."""
    gate_case: str | None = None
    """The only case that is judged, such as ``b1-s128``."""
    gate_model: str | None = None
    """The only model that is judged; ``None``: all but dense ones, PyTorch's and the baseline."""

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
