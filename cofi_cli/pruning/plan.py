"""The pruning plan: which units are kept, saved and replayed."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from cofi_cli.modeling import Masks
from cofi_cli.pruning.shape import EncoderShape, Widths


class PrunePlan(BaseModel):
    """Kept units of every layer, and the gate values to fold where they are soft.

    Attributes:
        shape: the dense shape, as :meth:`EncoderShape.as_dict` gives it.
        heads: kept heads of each layer, ascending; empty = sub-layer removed.
        ffn: kept FFN dims of each layer; empty = sub-layer removed.
        hidden: kept hidden dims.
        values: soft gate values by group, dense shapes; ``None`` = all 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: dict[str, int]
    heads: list[list[int]]
    ffn: list[list[int]]
    hidden: list[int]
    values: dict[str, Any] | None = None

    @property
    def encoder_shape(self) -> EncoderShape:
        """Return the dense shape."""
        return EncoderShape(**self.shape)

    def masks(self) -> Masks:
        """Return the gate values of the plan: 0 where removed, else 1 or the soft value."""
        shape = self.encoder_shape
        head = torch.zeros(shape.n_layers, shape.n_heads)
        dim = torch.zeros(shape.n_layers, shape.ffn)
        for layer, (heads, dims) in enumerate(zip(self.heads, self.ffn)):
            head[layer, heads] = 1.0
            dim[layer, dims] = 1.0
        hidden = torch.zeros(shape.hidden)
        hidden[self.hidden] = 1.0
        masks = {
            "head": head,
            "attention": head.any(-1).float(),
            "ffn_dim": dim,
            "ffn": dim.any(-1).float(),
            "hidden": hidden,
        }
        if self.values is not None:
            masks = {k: v * torch.tensor(self.values[k]) for k, v in masks.items()}
        return Masks(**masks)

    @property
    def widths(self) -> Widths:
        """Return the widths that the compact model will have.

        A unit that is kept at a value of 0 counts as removed.
        """
        masks = self.masks()
        return Widths(
            heads=tuple(((masks.head > 0) & (masks.attention > 0)[:, None]).sum(-1).tolist()),
            ffn=tuple(((masks.ffn_dim > 0) & (masks.ffn > 0)[:, None]).sum(-1).tolist()),
            hidden=int((masks.hidden > 0).sum()),
        )

    @property
    def kept_size(self) -> int:
        """Prunable weights that the compact model will have."""
        return self.encoder_shape.weights(self.widths)

    @property
    def sparsity(self) -> float:
        """Removed / prunable."""
        return 1 - self.kept_size / self.encoder_shape.prunable

    def summary(self) -> dict[str, Any]:
        """Return widths per layer, for reports."""
        return {
            "heads": [len(h) for h in self.heads],
            "ffn": [len(f) for f in self.ffn],
            "hidden": len(self.hidden),
            "of": {
                "heads": self.shape["n_heads"],
                "ffn": self.shape["ffn"],
                "hidden": self.shape["hidden"],
            },
        }


def everything(shape: EncoderShape) -> PrunePlan:
    """Return the plan that removes nothing."""
    return PrunePlan(
        shape=shape.as_dict(),
        heads=[list(range(shape.n_heads))] * shape.n_layers,
        ffn=[list(range(shape.ffn))] * shape.n_layers,
        hidden=list(range(shape.hidden)),
    )
