"""What an export states of its files: export.json."""

from __future__ import annotations

from pydantic import Field

from cofi_cli.config import ExportConfig
from cofi_cli.runs.records.machine import Machine
from cofi_cli.runs.records.store import FileName, Part, Record

MODEL, DENSE = "model", "dense"
"""Sizes of a source: what was asked for, and the dense teacher beside it."""
EXACT = "fp32"
"""The precision that others are made of and compared with."""

BY_LENGTH = "fused-lengths"
"""The graph whose files take padding on the right only."""


class GpuParity(Part):
    """The largest difference of a logit between a file on the GPU and torch; what is allowed."""

    max_abs_delta: float
    allowed: float


class Parity(GpuParity):
    """That of fp32 files on the processor.

    Attributes:
        tolerance: allowed, as a share of the largest logit or of 1.
        inputs: where the rows came from: a split, or ``synthetic``.
    """

    tolerance: float
    inputs: str


class ParityCase(Part):
    """One batch that both were fed."""

    batch: int
    seq_len: int
    padded: bool
    max_abs_delta: float


class Proof(Parity):
    """The parity of one file, batch by batch."""

    cases: list[ParityCase]


class Candidate(Part):
    """A graph or recipe that was timed in one case, and its speedup over ``vs``."""

    name: str
    case: str
    p50_ms: float
    vs: str
    ratio: float
    interval: tuple[float, float]


class ExportedFile(Part):
    """One ONNX file. Its name says nothing; this does.

    Attributes:
        file: its name in the folder.
        size: which size of the model it is: :data:`MODEL`, :data:`DENSE`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        form: of the graph, one of :data:`cofi_cli.exporting.graphs.forms.FORMS`.
        block_tokens: in a block of rows, for a graph in blocks.
        source: the checkpoint.
        weights_sha256: of its weights; ``None`` when it is not local.
        bytes, sha256: of the file.
        embeddings: precision of the embedding tables.
        node_count, nodes: nodes of the graph, also by operator.
        metric, score, rows: on the dev set, in points; ``None`` where nothing was scored.
        drop: points below the fp32 file.
        standard_error: of the drop, on these rows.
        parity: of an fp32 file with torch.
        parity_on_gpu: there, where that was seen.
        candidates: what was timed before this one was taken.
        recipe: of 8 bits.
        fp32_layers: layers of a smaller precision that stay in fp32.
        checked_on: provider that a half-precision file was checked on.
    """

    file: FileName
    size: str
    precision: str
    form: str
    block_tokens: int | None = None
    source: str
    weights_sha256: str | None = None
    bytes: int
    sha256: str
    embeddings: str
    node_count: int
    nodes: dict[str, int]
    metric: str | None = None
    score: float | None = None
    rows: int | None = None
    drop: float | None = None
    standard_error: float | None = None
    parity: Proof | None = None
    parity_on_gpu: GpuParity | None = None
    candidates: list[Candidate] = Field(default_factory=list)
    recipe: str | None = None
    fp32_layers: list[str] = Field(default_factory=list)
    checked_on: str | None = None

    @property
    def graph(self) -> str:
        """The graph in words: its form, and its blocks, if any."""
        return graph_name(self.form, self.block_tokens)


class HeldOut(Part):
    """What a trimmed tokenizer does to texts that its pieces were not chosen by.

    Attributes:
        texts: number of them.
        changed: share of them that splits otherwise.
        unknown, unknown_before: tokens for what cannot be split.
        growth: tokens more, as a share of those before.
    """

    texts: int
    changed: float
    unknown: int
    unknown_before: int
    growth: float


class Vocabulary(Part):
    """A trimmed vocabulary: pieces now and before, the fewest possible, and its effect."""

    pieces: int
    before: int
    smallest: int
    held_out: HeldOut


class ExportConditions(Part):
    """What the files are to be fast at."""

    provider: str
    threads: int
    batch: list[int]
    seq_len: list[int]


class ExportRecord(Record):
    """export.json.

    Attributes:
        source: as it was named.
        head: kind of head of the models.
        folder: that was written.
        precision: that was asked for.
        graph: form of the model's fp32 file.
        vocabulary: if it was trimmed.
        picked: file that is fastest of all precisions, where that was asked for.
        candidates: the timings behind that.
        left_out: size -> why it has no files.
        opset, exporter: how the graphs were made.
        position_offset: of a checkpoint that counts positions behind its padding.
        inputs: names of the graph's inputs.
        conditions: what the files are to be fast at.
        parity: of all fp32 files.
        models: the files, by names that are unique in the folder.
        asked: the configuration that was asked for.
        files: names of all files that the export wrote, export.json and the card aside.
        notes: what was left out or is to be known, in sentences.
        env, versions: the machine, and packages.
        seconds: that the export took.
    """

    what = "the record of an export"
    again = "Remove its folder and export again: cofi export SOURCE."

    source: str
    head: str
    folder: str
    precision: str
    graph: str
    vocabulary: Vocabulary | None = None
    picked: str | None = None
    candidates: list[Candidate] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    opset: int
    exporter: str
    position_offset: int = 0
    inputs: list[str]
    conditions: ExportConditions
    parity: Parity
    models: dict[str, ExportedFile]
    asked: ExportConfig
    files: list[FileName]
    notes: list[str]
    env: Machine
    versions: dict[str, str | None]
    seconds: float

    def file_of(self, size: str) -> ExportedFile | None:
        """Return a file of a size of the model, ``None`` where there is none."""
        return next((file for file in self.models.values() if file.size == size), None)


def graph_name(form: str, block_tokens: int | None) -> str:
    """Return a graph in words: its form, and its blocks of rows, if any."""
    return form + (f", blocks of {block_tokens} tokens" if block_tokens else "")
