"""The records of a run as types: the only readers and writers of their JSON."""

from cofi_cli.runs.records.bench import (
    BenchEnv,
    BenchResult,
    CaseRow,
    ChangeRow,
    Comparison,
    HeadlineRow,
    Interval,
    LeftOut,
    ModelRow,
    ScoreRow,
    SpeedupRow,
    UnmeasuredRow,
)
from cofi_cli.runs.records.export import (
    BY_LENGTH,
    DENSE,
    EXACT,
    MODEL,
    Candidate,
    ExportConditions,
    ExportedFile,
    ExportRecord,
    GpuParity,
    Parity,
    ParityCase,
    Proof,
    Vocabulary,
    graph_name,
)
from cofi_cli.runs.records.gates import (
    ChangeGate,
    DropGate,
    Gate,
    GateRow,
    Outcome,
    SpeedupGate,
    gate_error,
)
from cofi_cli.runs.records.machine import Machine
from cofi_cli.runs.records.run import (
    BenchSection,
    Chosen,
    Environment,
    LatencySetting,
    LatencyTarget,
    MaskedParity,
    MeasuredPlan,
    ModelSummary,
    OnnxSection,
    RunReport,
    Score,
    Scores,
    SizeRow,
    Sparsity,
    StageSummary,
    Structure,
    Widths,
    WordVectors,
)
from cofi_cli.runs.records.store import Part, Record
