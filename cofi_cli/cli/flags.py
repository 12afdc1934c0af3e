"""Flags that are fields of a configuration: their texts, choices, defaults, what was given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
from annotated_types import Ge, Lt
from pydantic.fields import FieldInfo

from cofi_cli.config import Section
from cofi_cli.config_errors import configured, field_of

S = TypeVar("S", bound=Section)
_WORDS = 4
"""Choices that a metavar shows; more of them are listed in the help text."""


@dataclass(frozen=True)
class Flag:
    """How the command line shows a field.

    Args:
        path: of the field, such as ``prune.sparsity``.
        metavar: stands for the value; by default the choices, or what the type says.
        panel: of the help page.
    """

    path: str
    metavar: str | None = None
    panel: str | None = None


def flagged(
    kind: type[Section], flags: Mapping[str, Flag], *, unset: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each field; its function takes their values as ``**given``.

    Args:
        kind: holds the fields, their explanations and defaults.
        flags: by the name of the command's parameter.
        unset: parameters that are ``None`` unless they are given.
    """

    def made(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            one.replace(annotation=hints[one.name])
            for one in inspect.signature(command).parameters.values()
            if one.kind != inspect.Parameter.VAR_KEYWORD
        ]
        first = [one for one in own if one.kind != inspect.Parameter.KEYWORD_ONLY]
        fields = [
            _parameter(name, flag, field, is_set=name not in unset)
            for name, flag in flags.items()
            if (field := field_of(kind, flag.path)) is not None
        ]

        def called(**values: Any) -> None:
            command(**values)

        parameters = [*first, *fields, *own[len(first) :]]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        )
        return called

    return made


def _parameter(name: str, flag: Flag, field: FieldInfo, *, is_set: bool) -> inspect.Parameter:
    default = field.default if is_set else None
    types = {field.annotation, *get_args(field.annotation)}
    words = choices(field)
    option, shown = f"--{name.replace('_', '-')}", flag.metavar
    text = " ".join((field.description or "").replace("``", "").split())
    kind: Any = str | None
    if bool in types:
        kind = bool | None
        option += "" if field.default is False else f"/--no-{option[2:]}"
    elif tuple[str, ...] in types:
        kind, default = list[str] | None, default or None
    else:
        shown = shown or _metavar(name, field, words)
        default = listed(default) if isinstance(default, tuple) else default
        default = None if default is None else str(default)
    if len(words) > _WORDS:
        text = f"One of {', '.join(words)}. {text}"
    option_info = typer.Option(option, metavar=shown, help=text, rich_help_panel=flag.panel)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option_info],
    )


def _metavar(name: str, field: FieldInfo, words: list[str]) -> str:
    if words:
        return "|".join(words) if len(words) <= _WORDS else name.upper()
    least = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    below = next((bound.lt for bound in field.metadata if isinstance(bound, Lt)), None)
    if field.annotation is int and least is not None and below is not None:
        return f"{least}..{below - 1}"  # type: ignore[operator]
    return "N"


def choices(field: FieldInfo) -> list[str]:
    """Return the only words that a field takes; none if it takes others."""
    parts = get_args(field.annotation)
    kinds = [part for part in parts if part is not type(None)]
    if len(kinds) == len(parts):  # the field is never None
        kinds = [field.annotation]
    words = get_args(kinds[0]) if len(kinds) == 1 else ()
    return [str(word) for word in words if isinstance(word, str)]


def listed(values: Iterable[object]) -> str:
    """Return several values as a flag takes them: ``1,32``."""
    return ",".join(map(str, values))


def given(kind: type[S], values: Mapping[str, Any]) -> S:
    """Return the configuration that a command's parameters of the same names make.

    Raises:
        CofiError: one that names every wrong flag.
    """
    own = {name: value for name, value in values.items() if value not in (None, [])}
    return configured(kind, own, {name: f"--{name.replace('_', '-')}" for name in own})
