"""The configuration of an export: each default of ``cofi export`` stands here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cofi_cli.config.max_drop import Limits, MaxDrop
from cofi_cli.config.section import Bytes, Pieces, Provider, Section, Sizes, bytes_of

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
    """The settings of an export; recorded as ``asked`` in export.json."""

    explained = "cofi export --help explains every option."

    precision: Precision = "fp32"
    """fp32 files, and int8 (for processors) or fp16 (for GPUs) files as well. auto makes those that
    suit the provider and names the fastest file."""
    graph: GraphName = "auto"
    """Form of the graphs. auto is the fastest by measurement, in blocks of rows where these are
    faster; fused-lengths takes padding on the right only."""
    portable: bool = False
    """Use standard ONNX operators only."""
    provider: Provider = "cpu"
    """Device to time the graphs on."""
    batch: Sizes = (1,)
    """Batch sizes to time, separated by commas."""
    seq_len: Sizes | None = None
    """Lengths in tokens to time, separated by commas. Default: 128, or the longest input of the
    model."""
    threads: int | None = Field(None, ge=1)
    """Number of threads. Default: one per physical core."""
    max_drop: MaxDrop = ()
    """Largest loss of score of int8 or fp16 files. Default: 0.5, and nothing is judged where there
    is nothing to score on. Also of a label or of some rows: recall[LABEL]=0.2,
    accuracy[COLUMN=VALUE]=1. May be given several times."""
    opset: int = Field(18, ge=OPSETS.start, lt=OPSETS.stop)
    """Version of the ONNX operators."""
    task: str | None = None
    """Built-in task to score on. Default: the task of the run."""
    data: str | None = None
    """Folder with the task's files."""
    score: bool = True
    """Score the files on the validation rows, and judge smaller precisions by their scores."""
    embeddings: Embeddings = "auto"
    """Embedding tables: int8 stores a row in 8 bits with a scale of its own, fp32 keeps the
    precision of the file. auto takes int8 in int8 files."""
    one_file: bool = False
    """Write model.onnx alone, in the precision asked for (auto: the fastest), without the dense
    model."""
    dense: bool = True
    """Export the dense model of a run as well."""
    vocab: Pieces | None = None
    """Keep N pieces of the tokenizer, the most used ones. auto keeps the fewest that lengthen
    held-out texts by less than 2 %. Default: all."""
    embedding_rank: int | None = Field(None, ge=1)
    """Factorise the table of word vectors: N numbers a piece, and a matrix that widens them.
    Default: the table as it is."""
    text: str | None = None
    """Texts that --vocab and --embedding-rank are chosen by, one a line or in a column, next to the
    training rows of the task."""
    size: Bytes | None = None
    """Write model.onnx alone, in a folder of at most so many bytes, such as 5MB: as exact as fits,
    or the best-scoring mixture of int8, fewer pieces and factorised word vectors."""
    max_length: int | None = Field(None, ge=1)
    """Longest row in tokens that the files are to take. Position rows beyond it are left out.
    Default: what the model takes."""

    @field_validator("max_drop")
    @classmethod
    def _is_a_loss(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse limits below 0."""
        limits = Limits.of(value)
        least = min([limits.whole or 0.0, *limits.parts.values()])
        if least < 0:
            raise ValueError(f"{least:g} is below 0; it is how many points may be lost")
        return value

    @model_validator(mode="after")
    def _has_scores(self) -> ExportConfig:
        """Refuse a loss of scores that are turned off."""
        if self.max_drop and not self.score:
            raise ValueError("--max-drop judges scores, so leave --no-score out")
        return self

    @model_validator(mode="after")
    def _has_a_vocabulary(self) -> ExportConfig:
        """Refuse texts that nothing is chosen by."""
        if self.text is not None and not self.has_smaller_words and self.size is None:
            raise ValueError(
                "--text is for choosing a vocabulary or factors by; add --vocab auto, "
                "--embedding-rank N or --size 5MB"
            )
        if self.size is not None and self.vocab == "auto":
            raise ValueError("--size chooses the number of pieces; leave --vocab auto out")
        return self

    @property
    def budget(self) -> int | None:
        """The bytes that ``size`` allows."""
        return None if self.size is None else bytes_of(self.size)

    @property
    def has_smaller_words(self) -> bool:
        """Whether the table of word vectors is to be smaller than the model's."""
        return self.vocab is not None or self.embedding_rank is not None
