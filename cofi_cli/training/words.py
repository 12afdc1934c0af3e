"""A compact model's table of word vectors, factorised where a rank or a size is asked for."""

from __future__ import annotations

import numpy as np

from cofi_cli.modeling import CofiForTask
from cofi_cli.training.preflight.bytes import fitting_rank
from cofi_cli.training.session import Session
from cofi_cli.vocabulary.factors import factorise


def factorise_words(session: Session, model: CofiForTask) -> None:
    """Factorise the table by how often the rows use each piece, in place.

    Where pruning has left no more columns than the rank, the table stays whole.
    """
    budget, rank = session.config.budget, session.config.embedding_rank
    if budget is not None:
        rank = fitting_rank(model, budget, tokenizer=session.tokenizer)
    width = model.config.embedding_size or model.config.hidden_size
    if rank is None:
        return
    if rank >= width:
        session.progress.message(
            f"The table of word vectors stays whole: it has {width} columns, and a rank of {rank} "
            "would fit."
        )
        return
    word = factorise(model, rank, np.bincount(session.imitated.input_ids.flat))
    # Machines may round otherwise; all processes train the same factors.
    word.load_state_dict(session.processes.from_main(word.state_dict()))
