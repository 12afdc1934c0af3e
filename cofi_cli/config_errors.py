"""Turns the values that pydantic refused into one error for the user."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cofi_cli.config import RunConfig, Section
from cofi_cli.errors import CofiError, did_you_mean

S = TypeVar("S", bound=Section)


def configured(
    kind: type[S], values: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> S:
    """Return a configuration.

    Args:
        kind: of it.
        values: by key.
        origins: dotted path -> where its value came from, such as ``--sparsity``.

    Raises:
        CofiError: one that names every wrong field.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _explain(error, origins or {}, kind) from error


def config_keys(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every key: ``model``, ``task.name``, ``prune.sparsity``, ..."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield prefix + name
        else:
            yield from config_keys(section, f"{prefix}{name}.")


def _explain(error: ValidationError, origins: Mapping[str, str], kind: type[Section]) -> CofiError:
    """Turn pydantic's findings into one error that names every field, value and expectation."""
    found: dict[str, list[Any]] = defaultdict(list)
    for item in error.errors(include_url=False):
        found[_dotted(item["loc"], kind)].append(item)
    lines = [_describe(items, path, _origin(path, origins), kind) for path, items in found.items()]
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


def _describe(items: Sequence[Any], path: str, origin: str, kind: type[Section]) -> str:
    """Say what is wrong with one key; of a union pydantic has a finding for each branch."""
    item, where = items[0], f" ({origin})" if origin else ""
    if item["type"] == "extra_forbidden":
        return unknown_key(path, kind) + where
    if item["type"] == "missing":
        return f"No {path} given."
    if item["type"] == "value_error":  # keys of a section that do not fit together
        return f"{path}: {item['ctx']['error']}.".removeprefix(": ")
    if item["type"] == "model_type":
        all_keys = (key.partition(f"{path}.") for key in config_keys(kind))
        keys = ", ".join(key for before, found, key in all_keys if found and not before)
        return f"{path} is {item['input']!r}{where}; it should be a section with the keys {keys}."
    said = " or ".join(dict.fromkeys(_said(item["msg"]) for item in items))
    said = said.replace(" or should be ", " or ")
    choices = [
        word
        for item in items
        if item["type"] == "literal_error"  # the only words that are taken
        for word in item["ctx"]["expected"].split("'")[1::2]
    ]
    value = item["input"]
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    is_number = isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value)  # of a flag
    return f"{path} is {value if is_number else repr(value)}{where}; it {said}.{near}"


def _said(message: str) -> str:
    """Return pydantic's sentence from its verb on: ``should be less than 1``."""
    said = message[max(message.find("should "), 0) :]
    for end in (", unable to", " after validation"):
        said = said.partition(end)[0]
    return said.replace("a valid tuple", "a list")


def _hint(paths: list[str], kind: type[Section]) -> str:
    """Return what the only wrong key means, or where all keys are explained."""
    if paths == ["model"]:
        return (
            "Name a hub id or a local folder: cofi prune bert-base-uncased --task sst2, "
            "or try cofi prune --task demo."
        )
    field = field_of(kind, paths[0].partition("[")[0]) if len(paths) == 1 else None
    if field is None or not field.description or _section(field) is not None:
        return kind.explained
    return " ".join(field.description.replace("``", "").split())


def field_of(kind: type[BaseModel], path: str) -> FieldInfo | None:
    """Return the field that a dotted path names, if there is one."""
    first, _, rest = path.partition(".")
    field = kind.model_fields.get(first)
    if field is None or not rest:
        return field
    section = _section(field)
    return None if section is None else field_of(section, rest)


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
