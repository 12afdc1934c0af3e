"""What a run is summed up as: report.json, and env.json."""

from __future__ import annotations

from pydantic import Field

from cofi_cli.config import KindName
from cofi_cli.runs.records.bench import HeadlineRow, Interval, Length, SpeedupRow
from cofi_cli.runs.records.export import Parity, Vocabulary
from cofi_cli.runs.records.gates import Gate
from cofi_cli.runs.records.store import Part, Record

Scores = dict[str, dict[str, float]]
"""Split -> metric -> points."""


class ModelSummary(Part):
    """A model's scores and sizes.

    Attributes:
        score: the headline metric on the validation split, in points.
        scores: of every split.
        scores_without: the headline metric on the validation split without each of 20 groups of
            its rows; empty where there are few. Two models' give the error of their difference.
        encoder_params, prunable_params, total_params: weights.
        bytes: of all weights.
    """

    score: float
    scores: Scores
    scores_without: list[float] = Field(default_factory=list)
    encoder_params: int
    prunable_params: int
    total_params: int
    bytes: int


class Score(Part):
    """A score of something that is no model of the run, in points."""

    score: float


class WordVectors(Score):
    """What word vectors alone reach, and the seconds that their training took."""

    scores: Scores
    seconds: float


class Sparsity(Part):
    """Shares of the prunable weights that are removed; ``target`` is ``None`` for a speedup."""

    target: float | None
    realised: float
    expected: float


class Widths(Part):
    """Sizes of the dense model."""

    heads: int
    ffn: int
    hidden: int


class Structure(Part):
    """What is left: heads and FFN dims per layer, the hidden width, and what they were of."""

    heads: list[int]
    ffn: list[int]
    hidden: int
    of: Widths


class MaskedParity(Part):
    """The largest difference of a logit between the masked and the compact model."""

    masked_vs_compact: float


class StageSummary(Part):
    """Cost of a stage; seconds without evaluation and checkpoints."""

    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    examples: int = 0
    steps: int = 0
    examples_per_second: float = 0.0
    teacher_seconds: float = 0.0
    communication_seconds: float = 0.0


class LatencySetting(Part):
    """What the times of a latency table are true for."""

    provider: str
    precision: str
    batch: int
    seq_len: Length
    threads: int | None


class MeasuredPlan(Part):
    """A plan by the clock, in turn with the dense model, and the speed its table expected.

    Attributes:
        seconds, dense_seconds: medians of a call.
        speedup, interval: their ratio.
    """

    seconds: float
    dense_seconds: float
    speedup: float
    interval: Interval
    expected_speedup: float


class LatencyTarget(Part):
    """A speed that was asked for, what its table expects of the plan, and what the clock found.

    Attributes:
        speedup, seconds: asked for, one of them.
        measured: of the plan that was kept, before recovery; ``None`` where nothing was.
        tried: every plan that was measured, the kept one last.
        setting: in which case.
    """

    speedup: float | None
    seconds: float | None
    expected_speedup: float
    dense_seconds: float
    expected_seconds: float
    measured: MeasuredPlan | None = None
    tried: list[MeasuredPlan] = Field(default_factory=list)
    setting: LatencySetting


class SizeRow(Part):
    """One of several sizes of a run.

    Attributes:
        drop: points below the teacher.
        standard_error: of the drop, on these rows.
        encoder_params: weights.
        sparsity: realised.
        expected_speedup, measured_speedup: where a speed was asked for.
    """

    name: str
    score: float
    drop: float
    encoder_params: int
    sparsity: float
    standard_error: float | None = None
    expected_speedup: float | None = None
    measured_speedup: float | None = None


class Chosen(Part):
    """The size that is the run's model, what it was chosen by, and what it misses."""

    name: str
    max_drop: float | None
    missed: str | None


class OnnxSection(Part):
    """What a report states of the run's export."""

    precision: str
    opset: int
    parity: Parity


class BenchSection(Part):
    """What a report states of the run's benchmark."""

    provider: str
    threads: int
    speedups: list[SpeedupRow]
    headline: list[HeadlineRow]
    gates: list[Gate]


class RunReport(Record):
    """report.json: what a run of ``prune`` or ``finetune`` came to.

    Attributes:
        model_name: that was pruned or fine-tuned.
        task, kind, metric: what it was trained on, and the headline metric.
        note: what the scores are true for; may be empty.
        teacher: the dense model; ``None`` for finetune.
        model: the result.
        standard_error: of the difference of their scores, on these rows.
        constant: one answer to all rows.
        not_learned, missed: warnings.
        before: scores by metric before finetune, of a model that was pruned or has a teacher.
        before_recovery: the compact model's score as it was cut out.
        stages: by name.
        baseline: word vectors alone, where they were asked for.
        advice: what would help the model.
        vocabulary: if it was trimmed.
        sizes, chosen: where there are several, the largest model first.
        onnx, bench: of the last export and benchmark in the run's folder.
    """

    what = "the report of a run"
    again = "Repeat the command that made the run, in another folder."

    model_name: str
    task: str
    kind: KindName
    metric: str
    note: str = ""
    seed: int
    teacher: ModelSummary | None = None
    model: ModelSummary
    standard_error: float | None = None
    constant: Score | None = None
    not_learned: str | None = None
    before: dict[str, float] | None = None
    before_recovery: Score | None = None
    sparsity: Sparsity | None = None
    structure: Structure | None = None
    parity: MaskedParity | None = None
    missed: str | None = None
    stages: dict[str, StageSummary] = Field(default_factory=dict)
    latency_target: LatencyTarget | None = None
    baseline: WordVectors | None = None
    advice: str | None = None
    vocabulary: Vocabulary | None = None
    sizes: list[SizeRow] = Field(default_factory=list)
    chosen: Chosen | None = None
    onnx: OnnxSection | None = None
    bench: BenchSection | None = None

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the run, in sentences."""
        return [warning for warning in (self.missed, self.not_learned) if warning is not None]


class Environment(Record):
    """env.json: what a run's results depend on next to its configuration.

    Attributes:
        command: ``prune`` or ``finetune``.
        folder: that relative paths of the configuration start in.
        packages: name -> version, ``None`` when absent.
        data: split -> SHA-256 of its rows.
        bf16_gain: how many times as fast as fp32 a bf16 product was; 0 where nobody asked.
        processes: that train together.
        resumed: for each resumption in another environment, what was another then.
    """

    what = "the environment of a run"
    again = "Repeat the command that made the run, in another folder."

    command: str
    folder: str
    python: str
    platform: str
    packages: dict[str, str | None]
    cpu: str
    cores: int | None
    threads: int
    device: str
    gpu: str | None
    seed: int
    data: dict[str, str]
    bf16_gain: float = 0.0
    processes: int = 1
    resumed: list[dict[str, str | int | None]] = Field(default_factory=list)
