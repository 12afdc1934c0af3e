"""The configuration of an export: each default of ``cofi export`` stands here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cofi_cli.config.max_drop import Limits, MaxDrop
from cofi_cli.config.section import Pieces, Provider, Section, Sizes

Precision = Literal["fp32", "int8", "fp16", "auto"]
Embeddings = Literal["auto", "int8", "fp32"]
GraphName = Literal[
    "auto", "plain", "packed", "lean", "fused", "lean-fused", "fused-skip", "fused-lengths"
]
OPSETS = range(17, 21)
"""17 is the first with LayerNormalization, 20 the last of the TorchScript exporter."""
MAX_DROP = 0.5
"""Points of score that a smaller precision may lose where nothing is said."""


class ExportConfig(Section):
    """What an export is asked for; recorded as ``asked`` in export.json."""

    explained = "cofi export --help explains every option."

    precision: Precision = "fp32"
    """``int8`` or ``fp16`` add files to fp32; ``auto`` adds what suits the provider, and picks the
    fastest."""
    graph: GraphName = "auto"
    """The form of the graphs, which then take a batch whole; ``auto``: the fastest by measurement,
    in blocks of rows where these are faster."""
    portable: bool = False
    """Standard ONNX operators only."""
    provider: Provider = "cpu"
    """What the files are to be fast on."""
    batch: Sizes = (1,)
    seq_len: Sizes | None = None
    """Lengths at which candidates are timed, each with every batch size; ``None``: 128, or the
    longest input of the model."""
    threads: int | None = Field(None, ge=1)
    """``None``: one per physical core."""
    max_drop: MaxDrop = ()
    """Points of score that a smaller precision may lose against fp32, and of parts of the rows
    (:mod:`cofi_cli.config.max_drop`); of all rows MAX_DROP where nothing is said, and nothing is
    judged where there is nothing to score on."""
    opset: int = Field(18, ge=OPSETS.start, lt=OPSETS.stop)
    task: str | None = None
    """A built-in task to score on; ``None``: the run's."""
    data: str | None = None
    """The folder of that task's files."""
    embeddings: Embeddings = "auto"
    """How embedding tables are stored: ``int8``, rows with a scale each; ``fp32``, in a file's own
    precision; ``auto``, as int8 in int8 files."""
    one_file: bool = False
    """Write ``model.onnx`` alone, in the precision asked for or, with ``auto``, the fastest one;
    without the dense model."""
    dense: bool = True
    """Export the dense model of a run beside the pruned one."""
    vocab: Pieces | None = None
    """Pieces that the tokenizer keeps; ``auto``: the fewest that lengthen held-out texts by less
    than 2 %; ``None``: all."""
    text: str | None = None
    """A file of texts that the pieces are chosen by, next to the task's training rows."""

    max_length: int | None = Field(None, ge=1)
    """Longest row in tokens that the files are to take; position rows beyond it are left out."""

    @field_validator("max_drop")
    @classmethod
    def _is_a_loss(cls, value: tuple[float | str, ...]) -> tuple[float | str, ...]:
        """Refuse limits below 0."""
        limits = Limits.of(value)
        least = min([limits.whole or 0.0, *limits.parts.values()])
        if least < 0:
            raise ValueError(f"{least:g} is below 0; it is how many points may be lost")
        return value

    @model_validator(mode="after")
    def _has_a_vocabulary(self) -> ExportConfig:
        """Refuse texts that nothing is chosen by."""
        if self.text is not None and self.vocab is None:
            raise ValueError("--text is for choosing a vocabulary; add --vocab auto")
        return self
