"""Flags that commands share, and the configuration that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from cofi_cli.config import Kind, RunConfig
from cofi_cli.errors import CofiError, unknown
from cofi_cli.presets import (
    Layer,
    choose_preset,
    file_layer,
    merge,
    nested,
    parse_override,
    preset_layer,
    resolve_config,
)

_TASK, _DATA, _TRAIN = "Task and data", "Task and data", "Training"

Model = Annotated[
    str | None,
    typer.Argument(help="A hub id or a local folder; optional where a preset or file names it."),
]
TaskName = Annotated[
    str | None,
    typer.Option("--task", help="cofi presets --tasks lists them.", rich_help_panel=_TASK),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Folder with the task's own files, train and dev; the hub otherwise.",
        rich_help_panel=_DATA,
    ),
]
TrainFile = Annotated[
    str | None,
    typer.Option(
        "--train",
        help="Your own rows: csv, tsv, jsonl, parquet; tags conll, spans json, plain texts txt.",
        rich_help_panel=_DATA,
    ),
]
ValidationFile = Annotated[
    str | None,
    typer.Option("--validation", help="Rows that scores are taken on.", rich_help_panel=_DATA),
]
TestFile = Annotated[
    str | None,
    typer.Option("--test", help="Rows that decide nothing.", rich_help_panel=_DATA),
]
ExtraFile = Annotated[
    str | None,
    typer.Option(
        "--extra",
        help="More texts, without labels: the student learns from the teacher's answers to them.",
        rich_help_panel=_DATA,
    ),
]
Text = Annotated[
    list[str] | None,
    typer.Option(
        help="Text column; twice for sentence pairs; a number where there is no header.",
        rich_help_panel=_DATA,
    ),
]
KindName = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="What own files hold; by default told by their extension or labels. "
        + ", ".join(get_args(Kind)),
        rich_help_panel=_DATA,
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        help="Label column; repeated, one 0/1 column per label (multilabel).", rich_help_panel=_DATA
    ),
]
Unlabelled = Annotated[
    bool | None,
    typer.Option(
        "--unlabelled",
        help="Learn from --teacher and the texts alone; --train may be a .txt, one text a line.",
        rich_help_panel=_DATA,
    ),
]
MaxLength = Annotated[
    str | None, typer.Option(metavar="N", help="Tokens a row.", rich_help_panel=_DATA)
]
Sparsity = Annotated[
    str | None,
    typer.Option(metavar="S", help="Share of the prunable weights to remove, in [0, 1)."),
]
Speedup = Annotated[
    str | None,
    typer.Option(metavar="X", help="Times as fast as dense by --table; instead of --sparsity."),
]
Table = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Latency table (JSON) measured for the model's shape."),
]
Teacher = Annotated[str | None, typer.Option(metavar="DIR", help="A fine-tuned model to imitate.")]
Preset = Annotated[
    str | None, typer.Option(help="cofi presets lists them; by default the task's own.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML, such as a run's config.yaml.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key: --set prune.epochs=5. Repeatable."),
]
Seed = Annotated[str | None, typer.Option(metavar="N", rich_help_panel=_TRAIN)]
CacheGb = Annotated[
    str | None,
    typer.Option(
        "--teacher-cache-gb",
        metavar="GB",
        help="Memory for kept teacher outputs; 0 for none.",
        rich_help_panel=_TRAIN,
    ),
]
Minutes = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Time of the whole run; the epochs are scaled to fit, by steps timed at its start.",
        rich_help_panel=_TRAIN,
    ),
]
Baseline = Annotated[
    bool | None,
    typer.Option(
        "--baseline",
        help="Also train word vectors alone, a minute's work; the report has their score.",
        rich_help_panel=_TRAIN,
    ),
]
Precision = Annotated[str | None, typer.Option(help="auto, fp32 or bf16.", rich_help_panel=_TRAIN)]
Threads = Annotated[str | None, typer.Option(metavar="N", rich_help_panel=_TRAIN)]
KeepCheckpoints = Annotated[
    bool | None,
    typer.Option(
        "--keep-checkpoints",
        help="Keep checkpoints/ of a finished run, which is removed otherwise.",
        rich_help_panel=_TRAIN,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Run folder; by default runs/MODEL-TASK-SPARSITY."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in -o, or the latest unfinished one.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything; train nothing.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]

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
    "teacher_cache_gb": ("--teacher-cache-gb", "prune.teacher_cache_gb"),
    "baseline": ("--baseline", "train.baseline"),
    "minutes": ("--minutes", "train.minutes"),
    "precision": ("--precision", "train.precision"),
    "threads": ("--threads", "train.threads"),
    "keep_checkpoints": ("--keep-checkpoints", "train.keep_checkpoints"),
}
"""Parameter of a command -> its flag and the key that it sets."""
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
"""Flags that stay text; the others are read as YAML, so that the key's own type judges them."""


def flag_layers(flags: Mapping[str, Any]) -> list[Layer]:
    """Return a layer for each flag that was given."""
    layers = []
    for name, value in flags.items():
        if value is None or value == []:
            continue
        flag, path = KEYS[name]
        if name == "label" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        layer = parse_override(f"{path}={value}") if name not in _TEXTS else None
        values = layer.values if layer is not None else nested(path, value)
        layers.append(Layer(values, flag))
    return layers


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
        flags: parameter -> value, of those in :data:`KEYS`.
        preset, config, overrides: what was given on the command line.
        saved: config.yaml of a run to resume; takes the place of an automatic preset.
        starts_from_teacher: whether a given teacher stands in for a MODEL that is not given.
        announce: told which preset was taken when none was named.

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
    resolved = resolve_config(layers)
    check_task(resolved)
    return resolved


def check_one_target(given: Sequence[Layer]) -> None:
    """Refuse a sparsity beside a speedup on one command line: either would hide the other.

    Raises:
        CofiError: naming both, as they were given.
    """
    found = {}
    for layer in given:
        prune = layer.values.get("prune")
        for key in ("sparsity", "speedup"):
            if isinstance(prune, Mapping) and prune.get(key) is not None:
                found[key] = f"{layer.origin} {prune[key]}"
    if len(found) == 2:
        raise CofiError(
            f"Two targets: {' and '.join(found.values())}.",
            hint="Give one of them: a share of the weights to remove, or a speed.",
        )


def _own_preset(given: Sequence[Layer], announce: Callable[[str], None]) -> list[Layer]:
    """Return the preset that fits the task, where something of it is left to say."""
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
    """Return what makes the teacher the student's start, where it is all that is given."""
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


def check_task(config: RunConfig) -> None:
    """Refuse a missing or unknown task before anything is loaded or downloaded.

    Raises:
        CofiError: with the choices.
    """
    from cofi_cli.tasks import no_teacher, task_names

    name = config.task.name
    if name is None and config.task.train is None:
        raise CofiError(
            f"No task given. Choices: {', '.join(task_names())}.",
            hint="--task NAME, or your own files: --train FILE --validation FILE.",
        )
    if name is not None and name not in task_names():
        raise unknown("task", name, task_names(), hint="For your own files: --train, --validation.")
    if config.task.unlabelled and config.teacher.path is None and config.task.kind != "embedding":
        raise no_teacher()
