"""What attention knows of positions beside learned embeddings: windows, rotation, relative bias."""

import math
from typing import Optional

import torch
from torch import Tensor, nn

from .configuration_cofi import CofiConfig
from .disentangled import aligned

OFF = torch.finfo(torch.float32).min / 2
"""Added to the score of a position that is not attended to; finite, so no row becomes NaN."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, (T, dh) each."""

_FARTHEST = 128
"""Distance from which on all positions share T5's last bucket (Raffel et al. 2020, 2.1)."""


class Positions(nn.Module):
    """Gives each layer the bias of its scores and the rotation of its queries and keys.

    The table of relative positions, (buckets, H), is shared by all layers, as in MPNet. A
    compact model keeps it whole; ``config.layer_head_ids`` says which heads a layer has left.
    """

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        layers = config.num_hidden_layers
        self.head_dim, self.buckets = config.head_dim, config.relative_buckets
        self.windows = config.layer_windows or [None] * layers
        no_thetas: list[Optional[float]] = [None] * layers
        self.thetas = config.layer_thetas or no_thetas
        self.head_ids = config.layer_head_ids
        heads = config.relative_heads or max(config.layer_heads, default=0)
        self.table = nn.Embedding(self.buckets, heads) if self.buckets else None

    def forward(
        self, input_ids: Tensor, bias: Optional[Tensor]
    ) -> list[tuple[Optional[Tensor], Optional[Rotation]]]:
        """Return bias and rotation of each layer.

        Args:
            input_ids: (B, T), for length and device.
            bias: (B, 1, 1, T), of padding, or ``None``.

        Returns:
            A bias that broadcasts to (B, h, T, T), and cosines and sines, or ``None`` each.
        """
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        biases: dict[Optional[int], Optional[Tensor]] = {None: bias}
        rotations: dict[Optional[float], Optional[Rotation]] = {None: None}
        if self.table is not None:
            relative = self._relative(places)
            biases[None] = relative if bias is None else relative + bias
        found = []
        for i, (window, theta) in enumerate(zip(self.windows, self.thetas)):
            if window not in biases:
                biases[window] = _windowed(places, window, biases[None])
            if theta not in rotations:
                rotations[theta] = _rotation(places, theta, self.head_dim)
            own = biases[window]
            if own is not None and self.table is not None and self.head_ids is not None:
                own = own[:, torch.tensor(self.head_ids[i], device=own.device, dtype=torch.long)]
            found.append((own, rotations[theta]))
        return found

    def _relative(self, places: Tensor) -> Tensor:
        """Return the bias by head and distance, (1, H, T, T)."""
        assert self.table is not None
        length = places.shape[0]
        distances = torch.arange(1 - length, length + 1, device=places.device)
        values = self.table(bucket(distances, self.buckets)).t()  # (H, 2T)
        return aligned(values[None, :, None].expand(-1, -1, length, -1))


def bucket(distance: Tensor, buckets: int) -> Tensor:
    """Return the bucket of a signed distance key - query, int of the same shape.

    Half of the buckets look back, half ahead; of each half the first half holds one distance
    each, the rest widen by powers (T5, Raffel et al. 2020, section 2.1).
    """
    half = buckets // 2
    single = half // 2
    far = distance.abs()
    # Kept at single or more, so that the logarithm of what is near is never asked for.
    scale = torch.log(far.clamp(min=single).float() / single) / math.log(_FARTHEST / single)
    wide = (single + (scale * (half - single)).long()).clamp(max=half - 1)
    return torch.where(far < single, far, wide) + (distance > 0).long() * half


def _windowed(places: Tensor, window: Optional[int], bias: Optional[Tensor]) -> Tensor:
    """Close what is farther than ``window`` positions away; (1, 1, T, T) or wider."""
    assert window is not None
    is_far = (places[None, :] - places[:, None]).abs() > window
    own = is_far[None, None].to(torch.float32) * OFF
    return own if bias is None else torch.minimum(own, bias)


def _rotation(places: Tensor, theta: Optional[float], head_dim: int) -> Rotation:
    """Return cosines and sines of RoPE (Su et al. 2021), (T, dh) each."""
    assert theta is not None
    steps = torch.arange(0, head_dim, 2, device=places.device, dtype=torch.float32) / head_dim
    angles = places[:, None].to(torch.float32) * (1.0 / theta**steps)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: Optional[Rotation]) -> Tensor:
    """Turn queries or keys, (B, h, T, dh), by their positions."""
    if rotation is None:
        return x
    cos, sin = rotation
    left, right = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-right, left], dim=-1) * sin).to(x.dtype)
