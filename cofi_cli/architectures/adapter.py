"""An architecture adapter: how a Hugging Face checkpoint maps onto our encoder, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


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


@dataclass(frozen=True)
class Adapter:
    """One architecture.

    Attributes:
        model_type: transformers' name of it.
        prefix: what a task model's keys start with; bare encoders go without.
        renames: the encoder's modules without their parameter's name.
        config: our configuration key -> theirs.
        heads: kind of head, as in :data:`cofi_cli.modeling.HEADS` -> how it is stored.
        shape: their names of the hidden width, layers, heads and FFN width.
        always: configuration of ours that all its models share.
        positions_after_padding: whether positions count from the padding id plus one.
        fixed: configuration values that our encoder relies on.
        legacy: old parameter names still found in checkpoints.
    """

    model_type: str
    prefix: str
    renames: tuple[Rename, ...]
    config: Mapping[str, str]
    heads: Mapping[str, Head]
    shape: tuple[str, str, str, str] = (
        *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    )
    always: Mapping[str, Any] = field(default_factory=dict)
    positions_after_padding: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    legacy: tuple[tuple[str, str], ...] = ((".gamma", ".weight"), (".beta", ".bias"))

    def to_ours(self, state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
        """Rename a checkpoint's tensors; those that our model with this head lacks are left out."""
        found: dict[str, Tensor] = {}
        renames = (*self.renames, *self.heads[head].renames)
        for key, tensor in state.items():
            for old, new in self.legacy:
                if key.endswith(old):
                    key = key[: -len(old)] + new
            for candidate in (key, self.prefix + key):
                ours = next(filter(None, (r.forward(candidate) for r in renames)), None)
                if ours is not None:
                    found[ours] = tensor
                    break
        return found

    def to_theirs(self, state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
        """Rename our dense tensors back.

        Raises:
            KeyError: a tensor has no name there.
        """
        renamed = {}
        renames = (*self.renames, *self.heads[head].renames)
        for key, tensor in state.items():
            theirs = next(filter(None, (r.backward(key) for r in renames)), None)
            if theirs is None:
                raise KeyError(f"{key} has no counterpart in {self.model_type}")
            renamed[theirs] = tensor
        return renamed

    def config_to_ours(self, theirs: Mapping[str, Any], head: str = "sequence") -> dict[str, Any]:
        """Return the arguments of a dense :class:`CofiConfig`."""
        ours = {own: theirs[their] for own, their in self.config.items() if their in theirs}
        hidden, layers, heads, ffn = (theirs[name] for name in self.shape)
        if self.positions_after_padding:
            ours["position_offset"] = theirs["pad_token_id"] + 1
        if ours.get("embedding_size") == hidden:
            del ours["embedding_size"]
        return ours | {
            "source_model_type": self.model_type,
            "hidden_size": hidden,
            "head_dim": hidden // heads,
            "layer_heads": [heads] * layers,
            "layer_ffn": [ffn] * layers,
            **self.always,
            **self.heads[head].config,
        }
