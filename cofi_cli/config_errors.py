"""Configuration values that pydantic refused, told to the user: all of them at once."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cofi_cli.config import RunConfig, Section
from cofi_cli.errors import CofiError, did_you_mean

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
}
S = TypeVar("S", bound=Section)


def configured(
    kind: type[S], values: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> S:
    """Return a configuration.

    Args:
        kind: of it.
        values: by key.
        origins: key -> where its value came from, such as ``--batch``.

    Raises:
        CofiError: one that names every wrong field.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explain(error, origins or {}, kind) from error


def config_keys(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every key: ``model``, ``task.name``, ``prune.sparsity``, ..."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield prefix + name
        else:
            yield from config_keys(section, f"{prefix}{name}.")


def explain(
    error: ValidationError, origins: Mapping[str, str], kind: type[Section] = RunConfig
) -> CofiError:
    """Turn pydantic's findings into one error that names every field, value and expectation.

    Args:
        error: raised by ``kind.model_validate``.
        origins: dotted path -> where its value came from, such as ``--sparsity``.
        kind: the configuration that was validated.
    """
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = _dotted(item["loc"], kind)
        found.setdefault(path, _describe(item, path, _origin(path, origins), kind))
    lines = list(found.values())
    if len(lines) == 1:
        return CofiError(lines[0], hint=_hint(list(found), kind))
    listed = "\n".join(f"  - {line}" for line in lines)
    return CofiError(f"{len(lines)} problems in the configuration:\n{listed}", hint=kind.explained)


def unknown_key(path: str, kind: type[Section] = RunConfig) -> str:
    """Say that a key is unknown, and which one was meant: a sibling first, else any."""
    *parents, last = path.split(".")
    prefix = "".join(f"{p}." for p in parents)
    keys = list(config_keys(kind))
    siblings = sorted({k[len(prefix) :].split(".")[0] for k in keys if k.startswith(prefix)})
    near = get_close_matches(last, siblings, n=1, cutoff=0.6)
    same = [k for k in keys if k.split(".")[-1] == last]
    if near:
        meant = f" Did you mean '{prefix}{near[0]}'?"
    elif same:
        meant = f" Did you mean {' or '.join(repr(k) for k in same)}?"
    else:
        meant = did_you_mean(path, keys)
    known = f" Keys of '{'.'.join(parents)}': {', '.join(siblings)}." if parents else ""
    return f"Unknown key '{path}'.{meant}{known if siblings else ''}"


def _describe(item: Any, path: str, origin: str, kind: type[Section]) -> str:
    if item["type"] == "extra_forbidden":
        return unknown_key(path, kind) + (f" ({origin})" if origin else "")
    if item["type"] == "missing":
        return f"No {path} given."
    if item["type"] == "value_error":  # keys of a section that do not fit together
        return f"{path}: {item['ctx']['error']}.".removeprefix(": ")
    expected = _expected_at(item["loc"], kind) or item["msg"]
    if item["type"] == "finite_number":
        expected = expected.replace("a number", "a finite number", 1)
    where = f" ({origin})" if origin else ""
    value = item["input"]
    near = ""
    field = _field_at(item["loc"], kind)
    if field is not None and isinstance(value, str):
        near = did_you_mean(value, [c for c in _choices(field.annotation) if isinstance(c, str)])
    return f"{path} is {value!r}{where}; expected {expected}.{near}"


def _hint(paths: list[str], kind: type[Section]) -> str:
    if paths == ["model"]:
        return (
            "Name a hub id or a local folder: cofi prune bert-base-uncased --task sst2, "
            "or try cofi prune --task demo."
        )
    if paths == ["prune.speedup"]:
        return "Speedup is how many times as fast: 8 for an eighth of the dense model's time."
    if paths == ["prune.latency"]:
        return "Latency is the time of a call, with its unit: 5ms."
    if paths == ["prune.sparsity"]:
        return "Sparsity is the share of prunable weights to remove: 0.95 for 95 %."
    return kind.explained


def _dotted(loc: tuple[int | str, ...], kind: type[Section]) -> str:
    """Return the key; below it pydantic also names the branches of a union, which are none."""
    path = ""
    model: type[BaseModel] | None = kind
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif model is not None:
            path += f".{part}"
            field = model.model_fields.get(part)
            model = None if field is None else _section(field)
    return path.lstrip(".")


def _origin(path: str, origins: Mapping[str, str]) -> str:
    """Return the origin of a key, of the section it is in, or of the first key below it."""
    path = path.split("[")[0]
    above = path
    while above:
        if above in origins:
            return origins[above]
        above = above.rpartition(".")[0]
    return next((o for key, o in origins.items() if key.startswith(f"{path}.")), "")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _field_at(loc: tuple[int | str, ...], kind: type[Section]) -> FieldInfo | None:
    model: type[BaseModel] | None = kind
    field = None
    for part in loc:
        if isinstance(part, int) or model is None:
            break
        field = model.model_fields.get(part)
        if field is None:
            return None
        model = _section(field)
    return field


def _expected_at(loc: tuple[int | str, ...], root: type[Section]) -> str:
    field = _field_at(loc, root)
    if field is None:
        return ""
    section = _section(field)
    if section is not None:
        return f"a section with the keys {', '.join(section.model_fields)}"
    kind = field.annotation
    if isinstance(loc[-1], int) and get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return _type_words(kind) + _range_words(field)


def _type_words(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return f"a list, each item {_type_words(get_args(kind)[0])}"
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_type_words(k) for k in get_args(kind))
    return _WORDS.get(kind, str(kind))


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(c for inner in get_args(kind) for c in _choices(inner))


def _range_words(field: FieldInfo) -> str:
    words = []
    for limit in _limits(field):
        if isinstance(limit, Ge):
            words.append(f"at least {limit.ge}")
        elif isinstance(limit, Gt):
            words.append(f"greater than {limit.gt}")
        elif isinstance(limit, Le):
            words.append(f"at most {limit.le}")
        elif isinstance(limit, Lt):
            words.append(f"less than {limit.lt}")
        elif isinstance(limit, MinLen):
            words.append(f"at least {limit.min_length} of them")
    return ", " + " and ".join(words) if words else ""


def _limits(field: FieldInfo) -> Iterator[Any]:
    """Yield the limits of a field, those inside ``int | None`` too."""
    yield from field.metadata
    for kind in get_args(field.annotation):
        yield from getattr(kind, "__metadata__", ())
