"""The table of word vectors as a product of two matrices, from a truncated SVD.

Of all subspaces of r dimensions the one is taken that loses least of the vectors x_i as texts use
them, Σ_i (n_i + 1)·|x_i - P x_i|² (Eckart and Young 1936; n_i as Chen et al. 2018, GroupReduce,
weight it). Each row is its projection on it, so that frequent words come out almost unchanged.
Inside the subspace a rotation spreads what a row holds evenly over its columns: one scale a row
then serves all of them in 8 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.low_rank import LowRankEmbedding

FEWEST_COLUMNS = 8
"""A table of lower rank is not tried."""
SCALE_BYTES = 4
"""Of the scale that each row has in int8."""
_SEED = 0


def check_rank(rank: int, width: int) -> None:
    """Refuse a rank that saves nothing.

    Raises:
        CofiError: it is not below the width of the word vectors.
    """
    if rank >= width:
        raise CofiError(
            f"embedding_rank is {rank}, and the model's word vectors have {width} numbers.",
            hint=f"Use a smaller --embedding-rank, such as {max(1, width // 3)}.",
        )


def with_rank(model: CofiForTask, rank: int) -> LowRankEmbedding:
    """Give a model a factorised table of undefined values, in place, and return the table."""
    config, embeddings = model.config, model.model.encoder.embeddings
    old: Any = embeddings.word.weight
    width = config.embedding_size or config.hidden_size
    words = LowRankEmbedding(config.vocab_size, rank, width, config.pad_token_id)
    embeddings.word = words.to(old.device, old.dtype).train(model.training)
    config.embedding_rank = rank
    return words


@torch.no_grad()
def factorise(model: CofiForTask, rank: int, uses: np.ndarray | None = None) -> LowRankEmbedding:
    """Factorise a model's table of word vectors, whole or factorised already, in place.

    Args:
        model: dense or compact.
        rank: columns of the new table.
        uses: how often texts use each id, (V,) or fewer; ``None`` counts all alike.

    Returns:
        The new table.

    Raises:
        CofiError: the rank is not below the width of the vectors.
    """
    check_rank(rank, model.config.embedding_size or model.config.hidden_size)
    embeddings: Any = model.model.encoder.embeddings
    word, own = embeddings.word, embeddings.word.weight
    whole = (word.widen(own) if isinstance(word, LowRankEmbedding) else own).double()
    weights = torch.ones(len(whole), 1, dtype=torch.float64, device=whole.device)
    if uses is not None:
        weights[: len(uses), 0] += torch.from_numpy(uses[: len(whole)]).to(weights)
    _, vectors = torch.linalg.eigh(whole.T @ (weights * whole))
    basis = vectors[:, -rank:] @ _rotation(rank).to(vectors)
    made = with_rank(model, rank)
    made.weight.copy_(whole @ basis)
    made.widen.weight.copy_(basis)
    return made


def with_words_of(model: CofiForTask, *, rank: int | None, uses: np.ndarray) -> None:
    """Factorise a model's table where a rank is asked for; see :func:`factorise`."""
    if rank is not None:
        factorise(model, rank, uses)


def _rotation(rank: int) -> Tensor:
    """Return a fixed random rotation, (rank, rank)."""
    noise = torch.randn(rank, rank, generator=torch.Generator().manual_seed(_SEED))
    q, r = torch.linalg.qr(noise.double())
    turned: Tensor = q * r.diagonal().sign()
    return turned
