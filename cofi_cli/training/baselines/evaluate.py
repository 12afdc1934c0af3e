"""``--baseline``: what word vectors alone reach on the run's data, for the report."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import WordVectors
from cofi_cli.tasks import Ragged
from cofi_cli.training.baselines.word_bags import Marks
from cofi_cli.training.baselines.word_vectors import fit
from cofi_cli.training.evaluation import answers
from cofi_cli.training.session import Session


def word_vector_baseline(session: Session, teacher: CofiForTask) -> WordVectors | None:
    """Train word vectors on the run's rows; return their scores, or ``None`` if not asked for.

    Args:
        teacher: gives the vectors to start from, and what an embedder learns.

    Raises:
        CofiError: the task is one of spans, or its rows have no labels.
    """
    if not session.config.train.baseline:
        return None
    targets: NDArray[Any] | None = None
    if not session.task.kind.has_labels:
        vectors = answers(session, teacher, session.splits["train"])
        assert not isinstance(vectors, Ragged)
        targets = vectors

    def fitted() -> WordVectors:
        found = fit(
            session.task,
            session.splits,
            marks=Marks.of(session.tokenizer),
            table=teacher.model.encoder.embeddings.word.weight,
            seed=session.config.seed,
            targets=targets,
        )
        score = found.scores["validation"][session.task.headline]
        return WordVectors(score=score, scores=found.scores, seconds=found.seconds)

    return session.processes.by_main(fitted)
