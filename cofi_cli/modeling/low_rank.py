"""Word vectors as a product of two matrices: a narrow table, and what widens its rows."""

from typing import Optional

from torch import Tensor, nn


class LowRankEmbedding(nn.Embedding):
    """Row i is W·t_i, with t_i from a table of r columns and W, (e, r), shared by all rows.

    Args:
        count: V, rows.
        rank: r.
        width: e, of what is looked up.
        padding_idx: as of ``nn.Embedding``.
    """

    def __init__(self, count: int, rank: int, width: int, padding_idx: Optional[int]) -> None:
        super().__init__(count, rank, padding_idx=padding_idx)
        self.widen = nn.Linear(rank, width, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  its name in torch
        """Return vectors, (..., e), for ids, (...) int."""
        wide: Tensor = self.widen(super().forward(input))
        return wide


def word_table(
    count: int, rank: Optional[int], width: int, padding_idx: Optional[int]
) -> nn.Embedding:
    """Return a table of word vectors, whole where there is no rank."""
    if rank is None:
        return nn.Embedding(count, width, padding_idx=padding_idx)
    return LowRankEmbedding(count, rank, width, padding_idx)
