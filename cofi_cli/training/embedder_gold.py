"""What embeddings of texts that nobody has rated are held against."""

from __future__ import annotations

from dataclasses import replace

from cofi_cli.modeling import CofiForTask
from cofi_cli.training.evaluation import predict
from cofi_cli.training.session import Session


def give_gold(session: Session, teacher: CofiForTask) -> None:
    """Hold texts without a rating against the teacher's embeddings of them."""
    if session.task.kind != "embedding":
        return
    for name, encoded in session.splits.items():
        if name != "train" and encoded.reference is None:
            vectors = predict(
                teacher.to(session.device),
                encoded,
                batch_size=session.config.train.eval_batch_size,
                pad_id=session.pad_id,
                device=session.device,
            )
            session.splits[name] = replace(encoded, gold=vectors)
