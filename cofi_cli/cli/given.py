"""From the flags that were given to a run's configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from cofi_cli.cli.options import PRUNE
from cofi_cli.config import TARGETS, RunConfig
from cofi_cli.errors import CofiError
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


def flag_layers(flags: Mapping[str, Any]) -> list[Layer]:
    """Return one layer for each given flag. A flag's text becomes a value by the setting's type."""
    layers = []
    for name, value in flags.items():
        if value is None or value == []:
            continue
        flag = "MODEL" if name == "model" else f"--{name.replace('_', '-')}"
        path = "model" if name == "model" else PRUNE[name].path
        if name == "label" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        values = nested(path, value)
        if name in TARGETS and "," in value:  # sizes on the way to the last one
            *milestones, last = value.split(",")
            values = merge(nested("prune.milestones", milestones), nested(path, last))
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
        flags: parameter and value, for MODEL and the parameters of :data:`PRUNE`.
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
            f"{flags[0]} describes the case of a target speed, but there is none.",
            hint="Add --speedup 8 or --latency 5ms. For training: --train-precision.",
        )


def _own_preset(given: Sequence[Layer], announce: Callable[[str], None]) -> list[Layer]:
    """Return the preset of the task, unless the given values already fix all of its settings."""
    values = _merged(given)
    section = values.get("task")
    stated = section.items() if isinstance(section, Mapping) else ()
    task = {key: value for key, value in stated if isinstance(value, str)}
    train = Path(task["train"]) if task.get("train") else None
    preset = choose_preset(task.get("name"), train=train, kind=task.get("kind"))
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
    return reduce(merge, (layer.values for layer in layers), {})
