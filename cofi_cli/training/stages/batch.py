"""One step's batch, or the part of it that this process takes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cofi_cli.tasks import Encoded, collate
from cofi_cli.training.session import Session

_ROWS = ("input_ids", "attention_mask", "token_type_ids", "labels", "index")


def make_batch(
    session: Session, encoded: Encoded, indices: Sequence[int], *, precision: str
) -> tuple[list[int], dict[str, Tensor]]:
    """Return row numbers and their tensors, on the session's device.

    Beside what :func:`collate` gives there is ``positions``, (n,), the flat indices of real
    positions: found here, they need not be waited for on a GPU. With several processes there are
    also ``share_of_rows``, ``share_of_tokens`` and ``share_of_labels``, scalars: how much of the
    batch's losses, which are means over those, lies in this process's rows. They add up to 1.

    Args:
        indices: of the whole batch's rows, the same in all processes.
        precision: of the model that reads the batch.
    """
    processes = session.processes
    whole = collate(
        encoded, indices, pad_id=session.pad_id, round_up=session.rounds_lengths(precision)
    )
    # Fewer rows than processes: the last row again, which then counts for nothing.
    places = list(processes.share(range(len(indices)))) or [len(indices) - 1]
    batch = whole
    if processes.count > 1:
        batch = {name: whole[name][places] for name in _ROWS if name in whole}
        is_idle = processes.index >= len(indices)
        for name, total in _counts(session, whole).items():
            part = _counts(session, batch)[name] * (not is_idle)
            batch[name] = part / total.clamp(min=1)
    batch["positions"] = batch["attention_mask"].flatten().nonzero().flatten()
    on_device = {k: v.to(session.device, non_blocking=True) for k, v in batch.items()}
    return [indices[place] for place in places], on_device


def _counts(session: Session, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what losses are means over, each a scalar."""
    mask = batch["attention_mask"]
    counts = {"share_of_rows": mask.new_tensor(len(mask)), "share_of_tokens": mask.sum()}
    if "labels" in batch:
        counts["share_of_labels"] = session.objective.label_count(batch)
    return counts
