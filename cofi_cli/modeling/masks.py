"""One sample of gate values, as the masked encoder takes it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Masks:
    """Gate values z in [0, 1]; exactly 0 means that the unit is off.

    Attributes:
        head: (L, H), multiplies one head's context before the output projection.
        attention: (L,), multiplies the attention sub-layer's output, bias included.
        ffn_dim: (L, I), multiplies the FFN activation.
        ffn: (L,), multiplies the FFN sub-layer's output, bias included.
        hidden: (d,), multiplies the residual stream.

    L layers, H heads a layer, I FFN width, d hidden width. The tensors stay on
    the CPU, so the forward pass knows which units are off without asking a
    device. A sub-layer is off when its own gate or all of its units are.
    """

    head: Tensor
    attention: Tensor
    ffn_dim: Tensor
    ffn: Tensor
    hidden: Tensor

    def kept_heads(self, layer: int) -> list[int]:
        """Return the open heads of a layer; empty when its attention sub-layer is off."""
        return _open(self.head[layer]) if self.attention[layer].item() > 0 else []

    def kept_ffn(self, layer: int) -> list[int]:
        """Return the open FFN dims of a layer; empty when its FFN sub-layer is off."""
        return _open(self.ffn_dim[layer]) if self.ffn[layer].item() > 0 else []

    def kept_hidden(self) -> list[int]:
        """Return the open hidden dims."""
        return _open(self.hidden)

    def to(self, device: torch.device) -> "Masks":
        """Return the same values there, one transfer a group; gradients come back likewise."""
        names = self.__dataclass_fields__
        return replace(self, **{n: getattr(self, n).to(device, non_blocking=True) for n in names})

    def detach(self) -> "Masks":
        """Return the same values without their graph."""
        values = {name: getattr(self, name).detach() for name in self.__dataclass_fields__}
        return replace(self, **values)


def _open(values: Tensor) -> list[int]:
    return values.detach().nonzero().flatten().tolist()
