"""Flags that are fields of a configuration: their choices, their defaults, what was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from cofi_cli.config import Section
from cofi_cli.config_errors import configured

S = TypeVar("S", bound=Section)


def choices(kind: type[Section], field: str, separator: str = "|") -> str:
    """Return the choices of a field: ``cpu|cuda``."""
    annotation = kind.model_fields[field].annotation
    inner = next((one for one in get_args(annotation) if get_args(one)), annotation)
    return separator.join(map(str, get_args(inner)))


def listed(values: Iterable[object]) -> str:
    """Return several values as a flag takes them: ``1,32``."""
    return ",".join(map(str, values))


def given(kind: type[S], values: Mapping[str, Any]) -> S:
    """Return the configuration that a command's parameters of the same names make.

    Raises:
        CofiError: one that names every wrong flag.
    """
    own = {name: value for name, value in values.items() if name in kind.model_fields}
    own = {name: value for name, value in own.items() if value is not None}
    return configured(kind, own, {name: f"--{name.replace('_', '-')}" for name in own})
