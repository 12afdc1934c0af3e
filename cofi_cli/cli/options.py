"""Flags that several commands share, and the configuration that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cofi_cli.config import KIND_NAMES, TARGETS, RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.presets import (
    Layer,
    choose_preset,
    file_layer,
    merge,
    nested,
    parse_override,
    preset_layer,
    preset_names,
    resolve_config,
)

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

KEYS = {
    "model": ("MODEL", "model"),
    "task": ("--task", "task.name"),
    "data": ("--data", "task.data"),
    "train": ("--train", "task.train"),
    "validation": ("--validation", "task.validation"),
    "test": ("--test", "task.test"),
    "extra": ("--extra", "task.extra"),
    "text": ("--text", "task.text"),
    "label": ("--label", "task.label"),
    "kind": ("--kind", "task.kind"),
    "unlabelled": ("--unlabelled", "task.unlabelled"),
    "max_length": ("--max-length", "task.max_length"),
    "sparsity": ("--sparsity", "prune.sparsity"),
    "speedup": ("--speedup", "prune.speedup"),
    "table": ("--table", "prune.table"),
    "teacher": ("--teacher", "teacher.path"),
    "seed": ("--seed", "seed"),
    "vocab": ("--vocab", "vocab"),
    "teacher_cache_gb": ("--teacher-cache-gb", "prune.teacher_cache_gb"),
    "baseline": ("--baseline", "train.baseline"),
    "minutes": ("--minutes", "train.minutes"),
    "latency": ("--latency", "prune.latency"),
    "max_drop": ("--max-drop", "prune.max_drop"),
    "provider": ("--provider", "case.provider"),
    "precision": ("--precision", "case.precision"),
    "batch": ("--batch", "case.batch"),
    "seq_len": ("--seq-len", "case.seq_len"),
    "train_precision": ("--train-precision", "train.precision"),
    "threads": ("--threads", "train.threads"),
    "keep_checkpoints": ("--keep-checkpoints", "train.keep_checkpoints"),
}
"""Parameter of a command: its flag, and the setting that the flag changes."""
_TEXTS = (
    "model",
    "task",
    "data",
    "train",
    "validation",
    "test",
    "extra",
    "text",
    "label",
    "kind",
    "table",
    "teacher",
)
"""Flags whose values stay text. Other values are read as YAML and checked by the setting's type."""


def flag_layers(flags: Mapping[str, Any]) -> list[Layer]:
    """Return one layer for each given flag."""
    layers = []
    for name, value in flags.items():
        if value is None or value == []:
            continue
        flag, path = KEYS[name]
        if name == "label" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        values = nested(path, value) if name in _TEXTS else _read(path, str(value))
        layers.append(Layer(values, flag))
    return layers


def _read(path: str, value: str) -> Mapping[str, Any]:
    """Return the values of a flag; several targets are the sizes on the way to the last one."""
    if path not in ("prune.sparsity", "prune.speedup") or "," not in value:
        return parse_override(f"{path}={value}").values
    *milestones, last = value.split(",")
    first = parse_override(f"prune.milestones=[{','.join(milestones)}]").values
    return merge(first, parse_override(f"{path}={last}").values)


def build_config(
    flags: Mapping[str, Any],
    *,
    preset: str | None,
    config: Path | None,
    overrides: Sequence[str] | None,
    saved: Path | None = None,
    starts_from_teacher: bool = False,
    announce: Callable[[str], None],
) -> RunConfig:
    """Put the configuration together: defaults < preset < file < --set and flags.

    Args:
        flags: parameter and value, for parameters in :data:`KEYS`.
        preset, config, overrides: values of the options of these names.
        saved: config.yaml of the run to resume; no preset is chosen then.
        starts_from_teacher: whether the teacher serves as MODEL if no MODEL is given.
        announce: takes a line that names the chosen preset.

    Raises:
        CofiError: unknown keys, bad values, no model, no task, an unknown task.
    """
    top = [parse_override(text) for text in overrides or ()] + flag_layers(flags)
    check_one_target(top)
    given = [*([file_layer(config)] if config is not None else []), *top]
    if saved is not None:
        layers = [file_layer(saved)]
    else:
        layers = [] if preset is not None else _own_preset(given, announce)
    if preset is not None:
        layers.append(preset_layer(preset))
    layers += given
    if starts_from_teacher and (start := _student_from_teacher(layers)):
        announce(f"No MODEL: the student starts from the teacher, {start.values['model']}")
        layers.insert(0, start)
    from cofi_cli.tasks import check_named

    resolved = resolve_config(layers)
    check_named(resolved.task, has_teacher=resolved.teacher.path is not None)
    check_case(top, resolved)
    return resolved


def check_one_target(given: Sequence[Layer]) -> None:
    """Refuse several targets on one command line: one would hide the others.

    Raises:
        CofiError: naming them, as they were given.
    """
    found = {}
    for layer in given:
        prune = layer.values.get("prune")
        for key in TARGETS:
            if isinstance(prune, Mapping) and prune.get(key) is not None:
                found[key] = f"{layer.origin} {prune[key]}"
    if len(found) > 1:
        count = {2: "Two", 3: "Three"}[len(found)]
        raise CofiError(
            f"{count} targets: {' and '.join(found.values())}.",
            hint="Give one of them: a share of the weights to remove, or a speed.",
        )


def check_case(given: Sequence[Layer], config: RunConfig) -> None:
    """Refuse a case on the command line where no speed is asked for: it would change nothing.

    Raises:
        CofiError: naming the flag.
    """
    flags = [layer.origin for layer in given if layer.values.get("case")]
    if flags and not config.prune.is_speed:
        raise CofiError(
            f"{flags[0]} says where a speed holds, and no speed is asked for.",
            hint="Add --speedup 8 or --latency 5ms. For training: --train-precision.",
        )


def _own_preset(given: Sequence[Layer], announce: Callable[[str], None]) -> list[Layer]:
    """Return the preset of the task, unless the given values already fix all of its settings."""
    values = _merged(given)
    train = _task_value(values, "train")
    preset = choose_preset(
        _task_value(values, "name"),
        train=Path(train) if train else None,
        kind=_task_value(values, "kind"),
    )
    if preset is None:
        return []
    layer = preset_layer(preset)
    if merge(layer.values, values) == values:  # a whole config.yaml, say
        return []
    announce(f"Preset {preset} (cofi presets {preset} explains it)")
    return [layer]


def _student_from_teacher(layers: Sequence[Layer]) -> Layer | None:
    """Return a layer that makes the teacher MODEL, if there is a teacher and no MODEL."""
    values = _merged(layers)
    teacher = values.get("teacher")
    given = teacher.get("path") if isinstance(teacher, Mapping) else None
    if not isinstance(given, str) or values.get("model") is not None:
        return None
    return Layer({"model": given}, "--teacher")


def _merged(layers: Sequence[Layer]) -> Mapping[str, Any]:
    values: Mapping[str, Any] = {}
    for layer in layers:
        values = merge(values, layer.values)
    return values


def _task_value(values: Mapping[str, Any], key: str) -> str | None:
    task = values.get("task")
    value = task.get(key) if isinstance(task, Mapping) else None
    return value if isinstance(value, str) else None
