"""The proof that the compact model is the masked one."""

from __future__ import annotations

import torch

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.tasks import collate
from cofi_cli.tolerances import COMPACT, allowed
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.session import Session

_ROWS = 64


@torch.no_grad()
def assert_parity(
    session: Session,
    student: CofiForTask,
    small: CofiForTask,
    plan: PrunePlan,
) -> float:
    """Compare masked and compact logits on real inputs; return the largest |Δ|.

    The masked side computes everything and multiplies, so it shares nothing
    with the code that slices tensors.

    Raises:
        CofiError: they differ (exit code 4).
    """
    encoded = session.splits["validation"]
    rows = list(range(min(_ROWS, len(encoded))))
    batch = collate(encoded, rows, pad_id=session.pad_id, device=session.device)
    inputs = {k: batch[k] for k in INPUTS}
    masked = student.eval().run(**inputs, masks=plan.masks(), skip_closed=False).logits
    compacted = small.eval().run(**inputs).logits
    delta: float = (masked - compacted).abs().max().item()
    bound = allowed(COMPACT, masked.abs().max().item())
    if not delta <= bound:
        raise CofiError(
            f"The compact model differs from the masked one: largest |Δ logit| {delta:.2e}, "
            f"allowed {bound:.2e}.",
            hint="This is a defect of cofi; please report it with the run's plan.json.",
            exit_code=PARITY,
        )
    return delta
