"""The configuration of an export: each default of ``cofi export`` stands here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

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
    max_drop: float | None = Field(None, ge=0)
    """Points of score that a smaller precision may lose against fp32; ``None``: MAX_DROP, and
    nothing is judged where there is nothing to score on."""
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
    vocab: Pieces | None = None
    """Pieces that the tokenizer keeps; ``auto``: the fewest that lengthen held-out texts by less
    than 2 %; ``None``: all."""
    embedding_rank: int | None = Field(None, ge=1)
    """Columns of the model's table of word vectors, factorised; ``None``: as it is."""
    text: str | None = None
    """A file of texts that the pieces are chosen by, and their uses counted in, next to the task's
    training rows."""
    size: Bytes | None = None
    """Bytes of the folder, of ``model.onnx`` alone: the precision, pieces and rank that are left
    open are chosen to fit. With it ``fp32`` is no more than the first choice."""
    max_length: int | None = Field(None, ge=1)
    """Longest row in tokens that the files are to take; position rows beyond it are left out."""

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
