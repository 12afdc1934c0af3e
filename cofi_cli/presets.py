"""Presets, and how a configuration is put together: defaults < preset < file < flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.config import TARGETS, RunConfig
from cofi_cli.config_errors import configured
from cofi_cli.errors import CofiError, unknown
from cofi_cli.yaml_files import parse_yaml, read_yaml

_BUILTIN = {
    # Sets of some thousand rows; the paper trains them longer (and leaves wnli out).
    **dict.fromkeys(("cola", "stsb", "mrpc", "rte", "wnli"), "glue-small"),
    **dict.fromkeys(("sst2", "mnli", "qqp", "qnli"), "glue-large"),
    **dict.fromkeys(("squad", "squad_v2"), "squad"),
    **dict.fromkeys(("conll2003", "wnut17"), "tokens"),
    "stsb-embedding": "embedding",
    "demo": "demo",
}
"""Presets of the built-in tasks."""
SMALL_ROWS = 10_000
"""Files of the user's own with fewer rows are small; GLUE's small sets have up to 8,551."""
_MARKS = frozenset(",;|:/+&#-.*!?%@`")
"""YAML refuses some of these where they stand alone, and reads others as nothing or a list."""


@dataclass(frozen=True)
class Layer:
    """Values of one origin.

    Attributes:
        values: nested as in YAML.
        origin: what an error calls it: ``preset quick``, ``--sparsity``.
    """

    values: Mapping[str, Any]
    origin: str


def presets_folder() -> Path:
    """Return the folder of presets: beside the package in a wheel, above it in a checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "_presets"
    return shipped if shipped.is_dir() else package.parent / "presets"


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def preset_path(name: str) -> Path:
    """Return a preset's file.

    Raises:
        CofiError: there is none of this name.
    """
    if name not in preset_names():
        raise unknown("preset", name, preset_names(), hint="For a file of your own: --config FILE.")
    return presets_folder() / f"{name}.yaml"


def preset_text(name: str) -> str:
    """Return a preset as written, comments and all."""
    return preset_path(name).read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """Return the first line of a preset's comment: what it is for."""
    return preset_text(name).split("\n", 1)[0].lstrip("# ").rstrip()


def choose_preset(
    task: str | None, *, train: Path | None = None, kind: str | None = None
) -> str | None:
    """Return the preset that fits a task as the paper sorts them.

    Own files are sorted by their kind, which is named or shown by the extension, else by the lines
    of ``train``; ``None`` if there is no such file.
    """
    if task is not None:
        return _BUILTIN.get(task)
    from cofi_cli.tasks.kinds import KINDS

    file = train if train is not None and train.is_file() else None
    suffix = file.suffix.lower() if file is not None else None
    told = (
        own for own in KINDS.values() if own.name == kind or (not kind and suffix in own.suffixes)
    )
    preset = next((own.preset for own in told), None)
    if preset is None and file is not None:
        return "glue-small" if _lines(file) < SMALL_ROWS else "glue-large"
    return preset


def _lines(path: Path) -> float:
    """Count lines, of a parquet file its rows; one that cannot be read counts as many."""
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError):
            return float("inf")
    with path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on it, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return ``{"a": {"b": value}}`` for ``a.b``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def parse_override(text: str) -> Layer:
    """Read ``prune.sparsity=0.9``; the value is YAML, or text where it is punctuation alone.

    Raises:
        CofiError: not of this form.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        raise CofiError(
            f"--set takes KEY=VALUE, got '{text}'.", hint="For example: --set prune.sparsity=0.9"
        )
    mark = value.strip()
    if mark and set(mark) <= _MARKS:
        return Layer(nested(path, mark), f"--set {path}")
    parsed = parse_yaml(value, name=f"--set {path}: '{value}'")
    return Layer(nested(path, parsed), f"--set {path}")


def preset_layer(name: str) -> Layer:
    """Return a preset's values."""
    return Layer(read_yaml(preset_path(name)), f"preset {name}")


def file_layer(path: Path) -> Layer:
    """Return a configuration file's values."""
    return Layer(read_yaml(path), str(path))


def resolve_config(layers: Iterable[Layer]) -> RunConfig:
    """Lay the layers on each other, the last on top, over the defaults, and validate.

    Raises:
        CofiError: naming every unknown key and every bad value at once.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    is_paired = False  # a drop that was stated with a target goes with it
    for layer in layers:
        stated = _stated(layer.values)
        has_target = any(stated.get(key) is not None for key in TARGETS)
        has_drop = stated.get("max_drop") is not None
        if has_target and is_paired and not has_drop:
            values = merge(values, {"prune": {"max_drop": None}})
        if has_target or has_drop:
            is_paired = has_target and has_drop
        values = merge(_one_target(values, stated), layer.values)
        origins |= dict.fromkeys(_paths(layer.values), layer.origin)
    return configured(RunConfig, values, origins)


def _stated(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    section = layer.get("prune")
    return section if isinstance(section, Mapping) else {}


def _one_target(below: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Take the target out of the layers below where the one above states another kind of it."""
    given = [key for key in TARGETS if stated.get(key) is not None]
    gone = [key for key in TARGETS if given and key not in given]
    gone += ["table"] if "sparsity" in given else []
    cleared: dict[str, Any] = dict.fromkeys(gone)
    if given and "milestones" not in stated:
        cleared["milestones"] = ()
    return merge(below, {"prune": cleared}) if cleared else below


def _paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
