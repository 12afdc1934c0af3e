"""The proof that the compact model is the masked one."""

from __future__ import annotations

import logging

import torch

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.tasks import collate
from cofi_cli.tolerances import COMPACT, allowed
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.session import Session

DEFECT = 100
"""Times the tolerance from which on a difference is no rounding any more.

Rounding alone comes within a factor of two of the tolerance at 24 layers, so a difference above it
is warned of."""
_ROWS = 64

log = logging.getLogger(__name__)


@torch.no_grad()
def assert_parity(
    session: Session, student: CofiForTask, small: CofiForTask, plan: PrunePlan
) -> float:
    """Compare masked and compact logits on real inputs; return the largest |Δ|.

    The masked side computes everything and multiplies, so it shares nothing
    with the code that slices tensors. A difference above the tolerance is warned of.

    Raises:
        CofiError: they differ by more than rounding could (exit code 4).
    """
    encoded = session.splits["validation"]
    rows = list(range(min(_ROWS, len(encoded))))
    batch = collate(encoded, rows, pad_id=session.pad_id, device=session.device)
    inputs = {k: batch[k] for k in INPUTS}
    masked = student.eval().run(**inputs, masks=plan.masks(), skip_closed=False).logits
    compacted = small.eval().run(**inputs).logits
    delta: float = (masked - compacted).abs().max().item()
    bound = allowed(COMPACT, masked.abs().max().item())
    if delta <= bound:
        return delta
    told = (
        f"The compact model differs from the masked one: largest |Δ logit| {delta:.2e}, "
        f"expected at most {bound:.2e}."
    )
    if not delta <= DEFECT * bound:  # NaN is no less than anything
        raise CofiError(
            told,
            hint="This is a defect of cofi; please report it with the run's plan.json.",
            exit_code=PARITY,
        )
    log.warning("%s The run continues, since a defect would cause a far larger difference.", told)
    return delta
