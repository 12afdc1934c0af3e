"""Disentangled attention (He et al. 2021, DeBERTa): scores that read the distance by content.

With q and k of the content, and q', k' what the same matrices make of the embedding of the
distance i - j, the score of query i and key j is (q_i k_j + q_i k'_ij + k_j q'_ij) / √(3·dh).
"""

import math
from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor, nn

from .configuration_cofi import CofiConfig
from .norms import layer_norm, masked_layer_norm, open_layer_norm
from .select import Hidden


def score_scale(config: CofiConfig) -> float:
    """Return what attention's scores are multiplied by: 1/√(dh · terms of a score)."""
    return float((config.head_dim * (1 + len(config.disentangled or ()))) ** -0.5)


@dataclass(frozen=True)
class Relative:
    """The embedded distances of one pass, the same in all layers.

    Attributes:
        rows: embeddings as queries and keys are projected from, (2S, d).
        c2p, p2c: of them the one for each distance T - 1, ..., -T, and for each of -T + 1,
            ..., T, (2T,); ``None`` = the scores have no such term.
        head_dim: dh.
    """

    rows: Tensor
    c2p: Optional[Tensor]
    p2c: Optional[Tensor]
    head_dim: int

    def bias(
        self,
        q: Tensor,
        k: Tensor,
        distances: tuple[Tensor, Tensor],
        mask: Optional[Tensor],
        scale: float,
    ) -> Tensor:
        """Return what is added to the scaled scores, (B, h, T, T).

        Args:
            q, k: (B, h, T, dh).
            distances: ``rows`` through the matrices of q and of k, (2S, h·dh) each.
            mask: added as well, broadcasts to (B, h, T, T), or ``None``.
            scale: of the scores.
        """
        terms = [] if mask is None else [mask]
        for asking, other, index in ((q, 1, self.c2p), (k, 0, self.p2c)):
            if index is None:
                continue
            # Scaled before it is selected: of a graph's constants this makes constants.
            chosen = (distances[other] * scale).index_select(0, index)
            # Turned as a matrix: at three dimensions onnxruntime crashes on it in fp16.
            by_head = chosen.t().reshape(-1, self.head_dim, index.shape[0])
            term = aligned(torch.matmul(asking, by_head))
            terms.append(term if other else term.transpose(-1, -2))
        whole: Tensor = sum(terms[1:], terms[0])
        return whole


def aligned(x: Tensor) -> Tensor:
    """Turn columns of distances into columns of positions, (B, h, T, 2T) into (B, h, T, T).

    Entry (i, j) is found in column T - 1 - i + j. One after the other these lie 2T - 1
    apart from row to row, so that a view with rows one shorter has them below each other.
    """
    batch, heads, length, width = x.shape
    line = x.reshape(batch, heads, length * width)
    line = line[..., length - 1 : length - 1 + length * (width - 1)]
    return line.reshape(batch, heads, length, width - 1)[..., :length]


def rows_of(span: int, farthest: Optional[int]) -> list[int]:
    """Return how far from the middle the row of each distance is, 0, 1, ...; the last for all more.

    Half of the S rows to a side hold one distance each, the rest widen by powers, up to the
    last but one at ``farthest`` - 1; without ``farthest`` all S hold one distance each. The
    row S itself is there only for distances below 0.
    """
    if farthest is None:
        return list(range(span + 1))
    single = span // 2
    whole = math.log((farthest - 1) / single)

    def row(distance: int) -> int:
        if distance <= single:
            return distance
        wide = math.ceil(math.log(distance / single) / whole * (single - 1))
        return min(single + wide, span)

    return [row(distance) for distance in range(farthest + 1)]


class Distances(nn.Module):
    """The embeddings of distances, (2S, d), and their LayerNorm, if there is one.

    They are of the stream's width and read by the matrices that read the stream. So hidden
    gates act on them as there: LayerNorm is one over the kept dims, times the gates; without
    it they are multiplied.
    """

    def __init__(self, config: CofiConfig) -> None:
        super().__init__()
        self.span, self.head_dim = config.distance_span, config.head_dim
        self.places = rows_of(self.span, config.distance_farthest)
        self.terms = tuple(config.disentangled or ())
        self.table = nn.Embedding(2 * self.span, config.hidden_size)
        self.norm = layer_norm(config, config.hidden_size) if config.distance_norm else None

    def forward(self, x: Tensor) -> Relative:
        """Return those of a pass over x, (B, T, ...); dense and compact states."""
        rows = self.table.weight
        return self._of(x, rows if self.norm is None else self.norm(rows))

    def masked(self, x: Tensor, hidden: Tensor) -> Relative:
        """Masked state by definition; x is (B, T, ...), hidden (d,)."""
        rows = self.table.weight
        if self.norm is None:
            return self._of(x, rows * hidden)
        return self._of(x, masked_layer_norm(rows, self.norm, hidden))

    def open(self, x: Tensor, hidden: Hidden) -> Relative:
        """:meth:`masked` at the cost of a plain pass."""
        rows = self.table.weight
        if self.norm is None:
            return self._of(x, rows * hidden.gate)
        return self._of(x, open_layer_norm(rows, self.norm, hidden))

    def _of(self, x: Tensor, rows: Tensor) -> Relative:
        length = x.shape[1]
        distance = length - 1 - torch.arange(2 * length, device=x.device)
        c2p = self._index(distance) if "c2p" in self.terms else None
        p2c = self._index(-distance) if "p2c" in self.terms else None
        return Relative(rows, c2p, p2c, self.head_dim)

    def _index(self, distance: Tensor) -> Tensor:
        """Return the row of each signed distance query - key, int of the same shape."""
        places = torch.tensor(self.places, device=distance.device)
        far = places[distance.abs().clamp(max=len(self.places) - 1)]
        return torch.where(distance < 0, -far, far.clamp(max=self.span - 1)) + self.span
