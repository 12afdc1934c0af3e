"""What a benchmark found: bench.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cofi_cli.runs.records.gates import Gate
from cofi_cli.runs.records.machine import Machine
from cofi_cli.runs.records.store import Part, Record

Figure = Annotated[float, Field(ge=0, le=1e30)]
Positive = Annotated[float, Field(ge=1e-30, le=1e30)]
"""No measurement is outside of this, and quotients of two are numbers."""
Interval = tuple[float, float]
"""Ends of a 95 % bootstrap interval."""
Verdict = Literal["faster", "slower", "none"]
"""``none``: the interval holds 1, the two cannot be told apart."""
Length = int | Literal["task"]


class BenchEnv(Machine):
    """The machine, and what was fixed while measuring.

    Attributes:
        onnxruntime, torch: versions that ran; ``torch`` is ``None`` where it did not.
        packages: builds of onnxruntime -> version, ``None`` when absent.
        provider: its short name.
        providers: those that the sessions really had.
        thread_variables: environment variables that pin threads.
        warmup, rounds, min_seconds, max_seconds, seed: of the schedule.
    """

    onnxruntime: str
    torch: str | None = None
    packages: dict[str, str | None]
    provider: str
    providers: list[str]
    threads: int
    inter_op_threads: int
    thread_variables: dict[str, int]
    warmup: int
    rounds: int
    min_seconds: float
    max_seconds: float
    seed: int


class ModelRow(Part):
    """A file, and the process that ran it.

    Attributes:
        file: its path; for torch the checkpoint's folder.
        bytes: of all its files.
        shipped_bytes, download_bytes: with tokenizer and configuration; the same compressed.
        sha256: of them, or of a checkpoint's weights; ``None`` when they are not local.
        form, size: of the graph and of the model, where its export says so.
        of: name of the size that it is among several of a run.
        cold_start_seconds: from the start of the process to its first answer.
        peak_rss_bytes: over all cases.
    """

    name: str
    file: str
    bytes: Annotated[int, Field(ge=0, le=10**18)]
    shipped_bytes: int
    download_bytes: int
    sha256: str | None
    precision: str
    form: str | None
    size: str | None
    of: str | None = None
    runtime: str
    providers: list[str]
    load_seconds: Figure
    start_seconds: Figure
    first_run_seconds: Figure
    cold_start_seconds: Figure
    peak_rss_bytes: Annotated[int, Field(ge=0, le=10**18)]


class UnmeasuredRow(Part):
    """A case without latencies, and the ``reason``."""

    case: str
    batch: int
    seq_len: Length
    reason: str


class CaseRow(Part):
    """The latency of one model in one case.

    Attributes:
        rows, mean_tokens, mean_length: of a case with the task's own rows: how many, and the
            mean tokens of a row without and with padding.
        throughput: examples a second.
        samples_ms: each run, a list per turn.
    """

    model: str
    provider: str
    runtime: str
    precision: str
    case: str
    batch: int
    seq_len: Length
    rows: int | None = None
    mean_tokens: float | None = None
    mean_length: float | None = None
    runs: int
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    mean_ms: Positive
    throughput: Positive
    samples_ms: list[list[Positive]]


class Place(Part):
    """A model in a case."""

    model: str
    case: str
    batch: int
    seq_len: Length


class SpeedupRow(Place):
    """The speedup over the baseline ``vs``, whatever their precisions."""

    vs: str
    equal_precision: bool
    ratio: Positive
    interval: Interval
    verdict: Verdict


class HeadlineRow(Place):
    """The speedup of a pruned model at equal precision, and the product.

    Attributes:
        vs: the dense model of the same precision and runtime; ``None``, and so are ``ratio``,
            ``interval`` and ``verdict``, where there is none.
        product: pruning, precision and runtime together, over ``product_vs``, the baseline.
    """

    precision: str
    vs: str | None
    ratio: Positive | None
    interval: Interval | None
    verdict: Verdict | None
    product_vs: str
    product: Positive
    product_interval: Interval
    product_verdict: Verdict


class PartScore(Part):
    """A score in points, and the rows (of tagged words: the entities) that it is of."""

    score: float
    rows: int


class ScoreRow(Part):
    """A model's scores on a task, in points.

    Attributes:
        metric, score: the headline one.
        scores: all.
        scores_without: as a :class:`ModelSummary` has them.
        parts: of each label, ``recall[PII]``, and each value of a column, ``accuracy[lang=de]``.
        rows, rows_in_all: that were scored, and that the split has.
        batch: size that it was scored at, where that matters.
    """

    model: str
    task: str
    metric: str
    score: float
    scores: dict[str, float]
    scores_without: list[float] = Field(default_factory=list)
    parts: dict[str, PartScore] = Field(default_factory=dict)
    rows: int
    rows_in_all: int
    batch: int | None = None


class CurvePoint(Place):
    """A model's score and its latency in one case.

    Attributes:
        size: name of the size, such as ``0.8`` or ``dense``; the model's where there is but one.
        speedup, interval: over the baseline, whatever the precisions; ``None`` of itself.
    """

    size: str
    precision: str
    score: float
    p50_ms: Positive
    speedup: float | None = None
    interval: Interval | None = None


class Curve(Part):
    """Score against latency, of every model that has both.

    Attributes:
        task, metric: of the scores, which are in points.
        points: by case, then as the models stand.
        word_vectors: score of word vectors alone, where the run has one.
    """

    task: str
    metric: str
    points: list[CurvePoint]
    word_vectors: float | None = None


class LeftOut(Part):
    """A file that the provider cannot serve, and why."""

    name: str
    reason: str


class ChangeRow(Part):
    """A figure in two results.

    Attributes:
        case: ``None`` for a figure of the model alone.
        ratio: after over before; ``None`` where before is 0.
        interval: of the ratio, where there are raw samples.
        noise: whether that holds 1.
    """

    model: str
    case: str | None
    metric: str
    unit: str
    before: float
    after: float
    ratio: float | None
    interval: Interval | None
    noise: bool


class Comparison(Part):
    """Against an earlier result.

    Attributes:
        file: of that.
        environment: what differs in it.
        notes: what was not compared.
        rows: every figure that both hold.
    """

    file: str
    environment: list[str]
    notes: list[str]
    rows: list[ChangeRow] = Field(default_factory=list)


class BenchResult(Record):
    """bench.json.

    Attributes:
        baseline: name of the model that the others are compared with.
        models, cases, unmeasured, speedups, headline, scores: see their rows.
        gates: a threshold and a model each.
        curve: score against latency, where three models or more have both.
        left_out: files that were not measured.
        comparison: against an earlier result, where one was named.
    """

    what = "the result of a benchmark"
    again = "Measure it again: cofi bench RUN --output bench.json."

    env: BenchEnv
    baseline: str | None
    models: list[ModelRow]
    cases: list[CaseRow]
    unmeasured: list[UnmeasuredRow] = Field(default_factory=list)
    speedups: list[SpeedupRow] = Field(default_factory=list)
    headline: list[HeadlineRow] = Field(default_factory=list)
    scores: list[ScoreRow] = Field(default_factory=list)
    gates: list[Gate] = Field(default_factory=list)
    curve: Curve | None = None
    left_out: list[LeftOut] = Field(default_factory=list)
    comparison: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate.passed for gate in self.gates)

    @property
    def case_names(self) -> list[str]:
        """Names of the cases that were measured, each once."""
        return list(dict.fromkeys(row.case for row in self.cases))
