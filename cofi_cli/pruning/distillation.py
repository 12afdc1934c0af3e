"""Prediction and layerwise distillation (CoFi, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cofi_cli.modeling.gather import take

N_TAPS = 4
"""Teacher layers that are matched; CoFi, section 2.3."""
MATCHED_BY = 128
"""Tokens of a batch by which layers are matched: all would take a product for every layer."""


def teacher_taps(n_layers: int) -> list[int]:
    """Return the matched teacher layers, counted from 0: every L/4.

    Twelve layers give 2, 5, 8, 11; six give 0, 2, 3, 5.
    """
    return sorted({max(0, (k * n_layers) // N_TAPS - 1) for k in range(1, N_TAPS + 1)})


def prediction_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Return KL(teacher ‖ student)·T² over softened predictions, the mean over rows.

    Args:
        student, teacher: (B, C) logits.
        temperature: T.
    """
    log_p = F.log_softmax(teacher.float() / temperature, dim=-1)
    log_q = F.log_softmax(student.float() / temperature, dim=-1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2


def match_nearest(errors: Tensor) -> list[int | None]:
    """Match each teacher layer to the student layer of least error.

    Args:
        errors: (taps, L) mean squared errors; a constant may be missing from each row.
    """
    return list(errors.argmin(dim=1).tolist())


def match_ordered(errors: Tensor, exists: Sequence[bool]) -> list[int | None]:
    """The same among layers that still exist, top teacher first, strictly descending.

    A teacher layer with nothing left below the last match has none.

    Args:
        errors: (taps, L) mean squared errors, taps ascending.
        exists: for each student layer whether any of its sub-layers is open.
    """
    matches: list[int | None] = [None] * errors.shape[0]
    below = errors.shape[1]
    for tap in reversed(range(errors.shape[0])):
        free = [layer for layer in range(below) if exists[layer]]
        if not free:
            break
        below = min(free, key=lambda layer: float(errors[tap, layer]))
        matches[tap] = below
    return matches


class LayerLoss(nn.Module):
    """Σ over matched pairs of MSE(teacher_i, W·student_m(i)), W one shared (d, d) map.

    Args:
        hidden: d of the teacher and of the dense student.
        matching: ``nearest``, ``ordered`` or ``fixed``.
        taps: the teacher's layers, for ``fixed``.
    """

    def __init__(self, hidden: int, *, matching: str, taps: Sequence[int] = ()) -> None:
        super().__init__()
        self.matching, self.taps = matching, list(taps)
        self.weight = nn.Parameter(torch.eye(hidden))
        self.last_match: list[int | None] = []

    def forward(
        self,
        states: Sequence[Tensor],
        teacher: Tensor,
        *,
        exists: Sequence[bool],
        kept: Tensor | None,
        positions: Tensor | None = None,
        total: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            states: L student layer outputs, (..., k); equal neighbours may be one
                tensor and are then compared once.
            teacher: (taps, n, d).
            exists: as in :func:`match_ordered`.
            kept: the k kept hidden dims, (k,); ``None`` when k = d.
            positions: the n rows of the flattened states to compare, (n,); ``None`` = all.
            total: turns the errors over these states into those that layers are matched by.
        """
        weight = self.weight if kept is None else take(self.weight, kept, 1)
        if self.matching == "fixed":
            self.last_match = [*self.taps]
        else:
            # Detached, so that autocast cannot keep a cast of it without a gradient.
            errors = _errors_by_some(states, teacher, weight.detach(), positions)
            errors = errors if total is None else total(errors)
            is_ordered = self.matching == "ordered"
            self.last_match = match_ordered(errors, exists) if is_ordered else match_nearest(errors)
        projected: dict[int, Tensor] = {}
        loss = teacher.new_zeros(())
        for tap, layer in enumerate(self.last_match):
            if layer is None:
                continue
            state = states[layer]
            if id(state) not in projected:
                # Projected with its padding, so that few shapes of product occur.
                flat = F.linear(state, weight).flatten(0, -2)
                projected[id(state)] = take(flat, positions, 0).float()
            loss = loss + F.mse_loss(projected[id(state)], teacher[tap])
        return loss


@torch.no_grad()
def _errors_by_some(
    states: Sequence[Tensor], teacher: Tensor, weight: Tensor, positions: Tensor | None
) -> Tensor:
    """Return the layers' errors over :data:`MATCHED_BY` tokens, (taps, L).

    Matching compares within a row only, so each row may lack its constant |t|²/n.

    Args:
        states, teacher, positions: as in :meth:`LayerLoss.forward`.
        weight: (d, k), that projects the states.
    """
    n = teacher.shape[1]
    count = min(n, MATCHED_BY)
    some = torch.arange(count, device=teacher.device) * n // count
    rows = some if positions is None else positions[some]
    distinct = {id(state): state for state in states}
    seen = torch.stack([x.flatten(0, -2)[rows] for x in distinct.values()])
    students = F.linear(seen, weight).float().flatten(1)
    wanted = teacher[:, some].flatten(1)
    # The difference of squares needs fp32 whatever the layers were computed in.
    with torch.autocast(teacher.device.type, enabled=False):
        errors = (students.square().sum(1) - 2 * wanted @ students.T) / wanted.shape[1]
    places = {key: place for place, key in enumerate(distinct)}
    return errors[:, [places[id(state)] for state in states]]
