"""An architecture adapter: how a Hugging Face checkpoint maps onto our encoder, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cofi_cli.errors import CofiError


@dataclass(frozen=True)
class Rename:
    """A reversible key rename. ``{}`` stands for a layer number, on both sides."""

    theirs: str
    ours: str

    def forward(self, key: str) -> str | None:
        """Rename a Hugging Face key to ours, or return ``None``."""
        return _apply(self.theirs, self.ours, key)

    def backward(self, key: str) -> str | None:
        """Rename our key to Hugging Face's, or return ``None``."""
        return _apply(self.ours, self.theirs, key)


def _apply(source: str, target: str, key: str) -> str | None:
    pattern = re.escape(source).replace(r"\{\}", r"(\d+)")
    match = re.fullmatch(pattern + r"(\.\w+)", key)
    if match is None:
        return None
    *numbers, parameter = match.groups()
    return target.format(*numbers) + parameter


_LARGEST = 1_000_000
"""Beyond any layer, head or width of a model that a machine holds."""


def _size(config: Mapping[str, Any], key: str) -> int:
    """Return a size that a configuration states.

    Raises:
        KeyError, ValueError: it does not, or it states no size.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise ValueError(f"{key} is {value!r}, not a whole number from 1 to {_LARGEST:,}")
    return value


def _check_values(theirs: Mapping[str, Any], dropouts: Iterable[str]) -> None:
    """Refuse what transformers 4.57 lets pass.

    Raises:
        ValueError: a dropout is no share, or the names of labels are none.
    """
    for key in dropouts:
        value = theirs.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 <= value < 1):
            raise ValueError(f"{key} is {value!r}, not a number from 0 to 1")
    names = theirs.get("id2label")
    if names is not None and not isinstance(names, Mapping):
        raise ValueError(f"id2label is {names!r}, not an object of names")


@dataclass(frozen=True)
class Stack:
    """Several of our modules, equal in shape, that a checkpoint holds as one, row above row."""

    theirs: str
    ours: tuple[str, ...]

    def forward(self, key: str, tensor: Tensor) -> dict[str, Tensor]:
        """Split a Hugging Face tensor into ours; nothing if it is another."""
        names = [_apply(self.theirs, name, key) for name in self.ours]
        parts = tensor.chunk(len(self.ours), dim=0)
        return {n: part.contiguous() for n, part in zip(names, parts) if n is not None}

    def backward(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put our tensors together: their key -> tensor."""
        joined = {}
        for key in state:
            theirs = _apply(self.ours[0], self.theirs, key)
            if theirs is not None:
                joined[theirs] = torch.cat([state[k] for k in self.own_keys(theirs)])
        return joined

    def own_keys(self, theirs: str) -> list[str]:
        """Return our keys behind one of theirs, in order."""
        return [key for name in self.ours if (key := _apply(self.theirs, name, theirs))]


@dataclass(frozen=True)
class Head:
    """A task head of one architecture.

    Attributes:
        class_name: transformers' class, as ``architectures`` of config.json names it.
        renames: the head's modules, beside the encoder's.
        config: what our configuration needs for it: key -> value.
    """

    class_name: str
    renames: tuple[Rename, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


def encoder_head(class_name: str) -> Head:
    """Return the head of a general encoder: the bare class stores it, but for the map on top."""
    return Head(class_name, (), {"wide_states": True})


@dataclass(frozen=True)
class Adapter:
    """One architecture.

    Attributes:
        model_type: transformers' name of it.
        prefix: what a task model's keys start with; bare encoders go without.
        renames: the encoder's modules without their parameter's name.
        config: our configuration key -> theirs, for what is the same under another name.
        heads: kind of head, as in :data:`cofi_cli.modeling.HEADS` -> how it is stored.
        fixed: configuration values that our encoder relies on; a dot leads into a mapping. A key
            left out counts as that value, unless ``defaults`` says otherwise.
        legacy: old parameter names still found in checkpoints.
        defaults: what a configuration that leaves a key out means by it.
        own: our configuration key -> value, for what theirs has no key for.
        derive: what else our configuration needs, computed from theirs.
        stacks: modules that the checkpoint holds as one.
        sizes: their keys for layers, heads, hidden and FFN width.
    """

    model_type: str
    prefix: str
    renames: tuple[Rename, ...]
    config: Mapping[str, str]
    heads: Mapping[str, Head]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    legacy: tuple[tuple[str, str], ...] = ((".gamma", ".weight"), (".beta", ".bias"))
    defaults: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    derive: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    stacks: tuple[Stack, ...] = ()
    sizes: tuple[str, str, str, str] = (
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_size",
        "intermediate_size",
    )

    def head(self, kind: str) -> Head:
        """Return how a kind of head is stored.

        Raises:
            CofiError: this architecture has none; lists those that it has.
        """
        if kind not in self.heads:
            raise CofiError(
                f"{self.model_type} has no {kind} head. Heads there: {', '.join(self.heads)}.",
                hint="Choose a model of another architecture, or another kind of task.",
            )
        return self.heads[kind]

    def unsupported(self, theirs: Mapping[str, Any]) -> str | None:
        """Return what of a configuration our encoder cannot do, in words; ``None`` if nothing."""
        theirs = {**self.defaults, **theirs}
        for key, needed in self.fixed.items():
            value: Any = theirs
            for part in key.split("."):
                value = value.get(part, needed) if isinstance(value, Mapping) else needed
            if value != needed:
                return f"{key}={value!r}; supported is only {needed!r}"
        return None

    def to_ours(self, state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
        """Rename a checkpoint's tensors; those that our model with this head lacks are left out."""
        found: dict[str, Tensor] = {}
        renames = (*self.renames, *self.head(head).renames)
        for key, tensor in state.items():
            for old, new in self.legacy:
                if key.endswith(old):
                    key = key[: -len(old)] + new
            for candidate in (key, self.prefix + key):
                ours = next(filter(None, (r.forward(candidate) for r in renames)), None)
                if ours is not None:
                    found[ours] = tensor
                    break
                if parts := self._split(candidate, tensor):
                    found |= parts
                    break
        return found

    def _split(self, key: str, tensor: Tensor) -> dict[str, Tensor]:
        return next(filter(None, (s.forward(key, tensor) for s in self.stacks)), {})

    def to_theirs(self, state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
        """Rename our dense tensors back.

        Raises:
            KeyError: a tensor has no name there.
        """
        renamed: dict[str, Tensor] = {}
        taken: set[str] = set()
        for stack in self.stacks:
            joined = stack.backward(state)
            renamed |= joined
            taken |= {own for key in joined for own in stack.own_keys(key)}
        renames = (*self.renames, *self.head(head).renames)
        for key, tensor in state.items():
            if key in taken:
                continue
            theirs = next(filter(None, (r.backward(key) for r in renames)), None)
            if theirs is None:
                raise KeyError(f"{key} has no counterpart in {self.model_type}")
            renamed[theirs] = tensor
        return renamed

    def config_to_ours(self, theirs: Mapping[str, Any], head: str = "sequence") -> dict[str, Any]:
        """Return the arguments of a dense :class:`CofiConfig`.

        Raises:
            KeyError, ValueError: a size is missing, or is none.
        """
        theirs = {**self.defaults, **theirs}
        ours = {own: theirs[their] for own, their in self.config.items() if their in theirs}
        _check_values(theirs, (their for own, their in self.config.items() if "dropout" in own))
        layers, heads, hidden, ffn = (_size(theirs, key) for key in self.sizes)
        if hidden % heads:
            raise ValueError(f"{self.sizes[2]} {hidden} is no multiple of {heads} heads")
        return ours | {
            "source_model_type": self.model_type,
            "hidden_size": hidden,
            "head_dim": hidden // heads,
            "layer_heads": [heads] * layers,
            "layer_ffn": [ffn] * layers,
            **self.own,
            **(self.derive(theirs) if self.derive else {}),
            **self.head(head).config,
        }
