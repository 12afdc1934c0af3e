"""The distillation loss of one step, shared by pruning and recovery."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cofi_cli.config import DistillConfig
from cofi_cli.modeling import MaskedOutput
from cofi_cli.pruning.distillation import LayerLoss
from cofi_cli.training.objective import Objective
from cofi_cli.training.teacher.outputs import TeacherOutputs, real_positions, select_positions


class Distiller(nn.Module):
    """a_pred · prediction + a_layer · layer (+ a_label · label) loss; holds the layer map W.

    Args:
        outputs: the teacher's.
        settings: weights, temperature, matching.
        objective: the losses of the task's kind.
    """

    def __init__(
        self, outputs: TeacherOutputs, settings: DistillConfig, *, objective: Objective
    ) -> None:
        super().__init__()
        self.outputs, self.settings, self.objective = outputs, settings, objective
        self.layers: LayerLoss | None = None
        if uses_layers(settings):
            hidden = outputs.teacher.config.hidden_size
            self.layers = LayerLoss(hidden, matching=settings.matching, taps=outputs.taps)

    def forward(
        self,
        out: MaskedOutput,
        batch: dict[str, Tensor],
        indices: list[int],
        *,
        exists: Sequence[bool],
        kept: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss, a scalar, and its terms for the log.

        Args:
            out: of the student.
            batch: of T columns, B rows.
            indices: the rows' numbers.
            exists: for each layer whether any sub-layer is open.
            kept: the teacher's hidden dims that the student's states hold; ``None`` = all.
        """
        logits, taps = self.outputs.get(batch, indices)
        settings, mask = self.settings, batch["attention_mask"]
        student = out.logits
        if self.outputs.teacher.per_token:
            student = select_positions(student, real_positions(mask))
        prediction = self.objective.soft(student, logits, mask, temperature=settings.temperature)
        loss, row = (
            settings.prediction_weight * prediction,
            {"prediction_loss": prediction.item()},
        )
        if self.layers is not None:
            positions = real_positions(mask) if settings.mask_padding else None
            if positions is not None and positions.numel() == mask.numel():
                positions = None
            layer = self.layers(out.states[1:], taps, exists=exists, kept=kept, positions=positions)
            loss = loss + settings.layer_weight * layer
            row["layer_loss"] = layer.item()
        if settings.label_weight > 0:
            hard = self.objective.hard(out.logits.float(), batch)
            loss = loss + settings.label_weight * hard
            row["label_loss"] = hard.item()
        return loss, row


def uses_layers(settings: DistillConfig) -> bool:
    """Whether hidden states are distilled at all."""
    return settings.matching != "none" and settings.layer_weight > 0


def existing_layers(kept: Sequence[tuple[int, int]]) -> list[bool]:
    """Turn (heads, FFN dims) a layer into whether the layer exists."""
    return [heads > 0 or dims > 0 for heads, dims in kept]


def load_layer_map(distiller: Distiller, weight: Tensor | None) -> None:
    """Continue with the layer map of an earlier stage."""
    if distiller.layers is not None and weight is not None:
        with torch.no_grad():
            distiller.layers.weight.copy_(weight)
