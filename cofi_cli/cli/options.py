"""Flags that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cofi_cli.config import KIND_NAMES
from cofi_cli.presets import preset_names

_TASK, _DATA, _TRAIN = "Task and data", "Task and data", "Training"
_SPEED = "A speed as the target"

Model = Annotated[
    str | None,
    typer.Argument(
        help="A hub id or a local folder. Not needed where a preset or a file names the model."
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="A built-in task. 'cofi presets --tasks' lists them.",
        rich_help_panel=_TASK,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder with the files of the built-in task (train and dev). Default: the hub.",
        rich_help_panel=_DATA,
    ),
]
TrainFile = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="FILE",
        help="Your own training rows: csv, tsv, jsonl or parquet; conll for tagged words, json "
        "for questions on a context, txt for plain texts.",
        rich_help_panel=_DATA,
    ),
]
ValidationFile = Annotated[
    str | None,
    typer.Option(
        "--validation",
        metavar="FILE",
        help="Rows that models are scored on during training, and that choose the best one.",
        rich_help_panel=_DATA,
    ),
]
TestFile = Annotated[
    str | None,
    typer.Option(
        "--test",
        metavar="FILE",
        help="Rows that are scored at the end. They choose nothing.",
        rich_help_panel=_DATA,
    ),
]
ExtraFile = Annotated[
    str | None,
    typer.Option(
        "--extra",
        metavar="FILE",
        help="More texts, without labels. The student learns from the teacher's answers to them.",
        rich_help_panel=_DATA,
    ),
]
Text = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Text column. Give it twice for pairs. A column number, from 1, where the file has "
        "no header.",
        rich_help_panel=_DATA,
    ),
]
KindName = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help=f"What your own files hold: {', '.join(KIND_NAMES)}. Default: the kind that the "
        "file's extension or its labels show.",
        rich_help_panel=_DATA,
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Label column. Give it several times for one 0/1 column per label (multilabel).",
        rich_help_panel=_DATA,
    ),
]
Unlabelled = Annotated[
    bool | None,
    typer.Option(
        "--unlabelled",
        help="Learn from the teacher and the texts alone. --train may be a .txt with one text "
        "per line.",
        rich_help_panel=_DATA,
    ),
]
MaxLength = Annotated[
    str | None,
    typer.Option(metavar="N", help="Longest row, in tokens.", rich_help_panel=_DATA),
]
Sparsity = Annotated[
    str | None,
    typer.Option(
        metavar="S",
        help="Share of the prunable weights to remove: at least 0 and less than 1. Several, such "
        "as 0.6,0.8,0.95, make several sizes in one run. Default: the preset's, 0.95 in most.",
    ),
]
MaxDrop = Annotated[
    str | None,
    typer.Option(
        metavar="POINTS",
        help="Choose the smallest size that loses at most so much validation score against the "
        "teacher. Exit code 3 if none does. Default: the smallest size.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="A fine-tuned model to imitate. Default: one is trained."),
]
Speedup = Annotated[
    str | None,
    typer.Option(
        metavar="X",
        help="Times as fast as the dense model, measured in onnxruntime. Instead of --sparsity. "
        "Several, such as 2,4,8, make several sizes.",
        rich_help_panel=_SPEED,
    ),
]
Latency = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time of a call, such as 5ms. Instead of --sparsity.",
        rich_help_panel=_SPEED,
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A latency table from cofi bench --table, of this or another machine. Default: one "
        "is measured before training.",
        rich_help_panel=_SPEED,
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|cuda",
        help="Device that the exported model runs on. Default: cpu.",
        rich_help_panel=_SPEED,
    ),
]
CasePrecision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="fp32|int8|fp16",
        help="Precision of the exported model. Default: fp32.",
        rich_help_panel=_SPEED,
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(metavar="N", help="Rows of a call. Default: 1.", rich_help_panel=_SPEED),
]
SeqLen = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Length of the rows in tokens. The word task stands for the rows of the task at their "
        "own lengths. Default: 128, or the longest input of the model.",
        rich_help_panel=_SPEED,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"One of {', '.join(preset_names())}. Default: the preset of the task.",
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
Vocab = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Keep N pieces of the tokenizer, those that the training rows use most. auto keeps "
        "the fewest that lengthen held-out texts by less than 2 %. Default: all.",
        rich_help_panel=_TRAIN,
    ),
]
EmbeddingRank = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Factorise the compact model's table of word vectors: N numbers a piece, and a matrix "
        "that widens them. Default: the table stays whole.",
        rich_help_panel=_TRAIN,
    ),
]
Bytes = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="BYTES",
        help="Factorise the table of word vectors so far that the exported folder takes at most so "
        "many bytes in int8, such as 5MB.",
        rich_help_panel=_TRAIN,
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Seed of all randomness. Default: 57.",
        rich_help_panel=_TRAIN,
    ),
]
CacheGb = Annotated[
    str | None,
    typer.Option(
        "--teacher-cache-gb",
        metavar="GB",
        help="Memory for the teacher's outputs. 0 runs the teacher at each step. Default: 4.",
        rich_help_panel=_TRAIN,
    ),
]
Minutes = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Minutes for the whole run. Steps are timed when the run starts, and the epochs of "
        "pruning and recovery are scaled to fit.",
        rich_help_panel=_TRAIN,
    ),
]
Baseline = Annotated[
    bool | None,
    typer.Option(
        "--baseline",
        help="Also train word vectors alone, without an encoder, and report their score.",
        rich_help_panel=_TRAIN,
    ),
]
TrainPrecision = Annotated[
    str | None,
    typer.Option(
        "--train-precision",
        metavar="auto|fp32|bf16",
        help="Precision of training. auto takes bf16 if it is fast on this machine.",
        rich_help_panel=_TRAIN,
    ),
]
Threads = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Number of CPU threads, of training and of the speed that is asked for. Default: "
        "what PyTorch chooses.",
        rich_help_panel=_TRAIN,
    ),
]
KeepCheckpoints = Annotated[
    bool | None,
    typer.Option(
        "--keep-checkpoints",
        help="Keep the folder checkpoints/ after the run has finished.",
        rich_help_panel=_TRAIN,
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
