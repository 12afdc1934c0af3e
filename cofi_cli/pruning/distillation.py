"""Prediction and layerwise distillation (CoFi, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cofi_cli.modeling.gather import take

N_TAPS = 4
"""Teacher layers that are matched; CoFi, section 2.3."""


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
        projected: dict[int, Tensor] = {}
        weight, missing = self._in_order(kept)
        for state in states:
            if id(state) not in projected:
                # Projected whole and at full width, so that few shapes of product occur.
                flat = F.linear(F.pad(state, (0, missing)), weight).flatten(0, -2)
                projected[id(state)] = take(flat, positions, 0).float()
        self.last_match = self._match(states, projected, teacher, exists, total)
        loss = teacher.new_zeros(())
        for tap, layer in enumerate(self.last_match):
            if layer is not None:
                loss = loss + F.mse_loss(projected[id(states[layer])], teacher[tap])
        return loss

    def _match(
        self,
        states: Sequence[Tensor],
        projected: dict[int, Tensor],
        teacher: Tensor,
        exists: Sequence[bool],
        total: Callable[[Tensor], Tensor] | None,
    ) -> list[int | None]:
        if self.matching == "fixed":
            return [*self.taps]
        places = {key: place for place, key in enumerate(projected)}
        # The difference of squares needs fp32 whatever the layers were computed in.
        with torch.no_grad(), torch.autocast(teacher.device.type, enabled=False):
            distinct = _ranked_errors(teacher, list(projected.values()))
            distinct = distinct if total is None else total(distinct)
            errors = distinct[:, [places[id(state)] for state in states]]
        if self.matching == "ordered":
            return match_ordered(errors, exists)
        return match_nearest(errors)

    def _in_order(self, kept: Tensor | None) -> tuple[Tensor, int]:
        """Return W with the kept dims' columns first, and how many dims are not kept."""
        if kept is None:
            return self.weight, 0
        is_kept = torch.zeros(self.weight.shape[1], dtype=torch.bool, device=kept.device)
        is_kept[kept] = True
        # By sorting, not by nonzero(), which a GPU would have to be waited for.
        closed = is_kept.byte().argsort(stable=True)[: is_kept.numel() - kept.numel()]
        return take(self.weight, torch.cat([kept, closed]), 1), closed.numel()


def _ranked_errors(teacher: Tensor, students: Sequence[Tensor]) -> Tensor:
    """Return (taps, S) mean squared errors, each row short of its constant |t|²/n.

    Matching compares within a row only, so one pass over the pairs is enough.
    """
    t = teacher.flatten(1)
    columns = [torch.dot(s.flatten(), s.flatten()) - 2 * (t @ s.flatten()) for s in students]
    return torch.stack(columns, dim=1) / t.shape[1]
