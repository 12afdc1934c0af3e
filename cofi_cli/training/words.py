"""A compact model's table of word vectors, factorised where a rank or a size is asked for."""

from __future__ import annotations

import numpy as np

from cofi_cli.modeling import CofiForTask
from cofi_cli.training.preflight.bytes import fitting_rank
from cofi_cli.training.session import Session
from cofi_cli.vocabulary.factors import FEWEST_COLUMNS, factorise


def factorise_words(session: Session, model: CofiForTask) -> None:
    """Factorise the table by how often the rows use each piece, in place.

    Where pruning has left no more columns than the rank, the table stays whole. A size that no
    rank reaches gets the narrowest table, and the progress says so.
    """
    config = session.config
    rank = config.embedding_rank
    if config.budget is not None:
        fitting = fitting_rank(model, config.budget, tokenizer=session.tokenizer)
        rank = max(FEWEST_COLUMNS, fitting)
        if fitting < rank:
            session.progress.message(
                f"No table of word vectors makes this model as small as {config.size}: it gets "
                f"{rank} columns. A higher --sparsity or --vocab auto would help."
            )
    width = model.config.embedding_size or model.config.hidden_size
    if rank is None:
        return
    if rank >= width:
        session.progress.message(
            f"The table of word vectors stays whole: it has {width} columns, and a rank of {rank} "
            "would fit."
        )
        return
    session.progress.message(f"The table of word vectors is factorised: {rank} numbers a piece.")
    word = factorise(model, rank, np.bincount(session.imitated.input_ids.flat))
    # Machines may round otherwise; all processes train the same factors.
    word.load_state_dict(session.processes.from_main(word.state_dict()))
