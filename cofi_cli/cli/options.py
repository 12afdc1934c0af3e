"""Flags that several commands share: those of a run's configuration, and the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cofi_cli.cli.flags import Flag
from cofi_cli.presets import preset_names

_DATA, _TRAIN, _SPEED = "Task and data", "Training", "A speed as the target"

SHARED = {
    "task": Flag("task.name", "NAME", _DATA),
    "teacher": Flag("teacher.path", "DIR"),
    "data": Flag("task.data", "DIR", _DATA),
    "train": Flag("task.train", "FILE", _DATA),
    "validation": Flag("task.validation", "FILE", _DATA),
    "test": Flag("task.test", "FILE", _DATA),
    "extra": Flag("task.extra", "FILE", _DATA),
    "text": Flag("task.text", "COLUMN", _DATA),
    "label": Flag("task.label", "COLUMN", _DATA),
    "kind": Flag("task.kind", panel=_DATA),
    "unlabelled": Flag("task.unlabelled", panel=_DATA),
    "max_length": Flag("task.max_length", panel=_DATA),
    "seed": Flag("seed", "N", _TRAIN),
    "vocab": Flag("vocab", "N|auto", _TRAIN),
    "embedding_rank": Flag("embedding_rank", "N", _TRAIN),
    "size": Flag("size", "BYTES", _TRAIN),
    "train_precision": Flag("train.precision", panel=_TRAIN),
    "threads": Flag("train.threads", panel=_TRAIN),
    "keep_checkpoints": Flag("train.keep_checkpoints", panel=_TRAIN),
}
"""Flags of both ``prune`` and ``finetune``, by parameter."""
PRUNE = {
    "sparsity": Flag("prune.sparsity", "S"),
    "max_drop": Flag("prune.max_drop", "POINTS"),
    "method": Flag("prune.method"),
    **SHARED,
    "speedup": Flag("prune.speedup", "X", _SPEED),
    "latency": Flag("prune.latency", "TIME", _SPEED),
    "table": Flag("prune.table", "FILE", _SPEED),
    "provider": Flag("case.provider", panel=_SPEED),
    "precision": Flag("case.precision", panel=_SPEED),
    "batch": Flag("case.batch", panel=_SPEED),
    "seq_len": Flag("case.seq_len", panel=_SPEED),
    "minutes": Flag("train.minutes", panel=_TRAIN),
    "baseline": Flag("train.baseline", panel=_TRAIN),
    "teacher_cache_gb": Flag("prune.teacher_cache_gb", "GB", _TRAIN),
}
"""Flags of ``prune``."""

Model = Annotated[
    str | None,
    typer.Argument(
        help="A hub id or a local folder. Not needed where a preset or a file names the model."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"One of {', '.join(preset_names())}. Default: the preset of the task."
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in YAML, such as a run's config.yaml."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting: --set prune.epochs=5. May be given several times.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Run folder. Default: runs/MODEL-TASK-SPARSITY."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in -o, or the latest unfinished run.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything, say how long it will take, train nothing."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
