"""The distillation loss of one step, shared by pruning and recovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        total: sums a tensor over the run's processes.
    """

    def __init__(
        self,
        outputs: TeacherOutputs,
        settings: DistillConfig,
        *,
        objective: Objective,
        total: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.outputs, self.settings, self.objective = outputs, settings, objective
        self.total = total
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
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its terms for the log.

        Of several processes each returns its part: the sum over them is the loss.

        Args:
            out: of the student.
            batch: of T columns, B rows (:func:`~cofi_cli.training.stages.batch.make_batch`).
            indices: the rows' numbers.
            exists: for each layer whether any sub-layer is open.
            kept: the teacher's hidden dims that the student's states hold; ``None`` = all.
        """
        logits, taps = self.outputs.get(batch, indices)
        settings, mask = self.settings, batch["attention_mask"]
        student = out.logits
        if self.outputs.teacher.per_token:
            student = select_positions(student, real_positions(batch))
        prediction = self.objective.soft(student, logits, mask, temperature=settings.temperature)
        prediction = part_of(prediction, batch, over=self.objective.soft_over)
        loss, row = settings.prediction_weight * prediction, {"prediction_loss": prediction}
        if self.layers is not None:
            positions = real_positions(batch) if settings.mask_padding else None
            if positions is not None and positions.numel() == mask.numel():
                positions = None
            over = "tokens" if settings.mask_padding else "rows"
            layer = self.layers(
                out.states[1:],
                taps,
                exists=exists,
                kept=kept,
                positions=positions,
                # All processes match the same layers: by the errors over the whole batch.
                total=lambda errors: self.total(part_of(errors, batch, over=over)),
            )
            layer = part_of(layer, batch, over=over)
            loss = loss + settings.layer_weight * layer
            row["layer_loss"] = layer
        if settings.label_weight > 0:
            hard = self.objective.hard(out.logits.float(), batch)
            hard = part_of(hard, batch, over="labels")
            loss = loss + settings.label_weight * hard
            row["label_loss"] = hard
        return loss, {name: term.detach() for name, term in row.items()}


def part_of(mean: Tensor, batch: dict[str, Tensor], *, over: str) -> Tensor:
    """Return what this process's rows add to the whole batch's mean.

    Args:
        mean: over this process's rows, tokens or labels.
        batch: that it was computed on.
        over: which of the three.
    """
    share = batch.get(f"share_of_{over}")
    return mean if share is None else mean * share


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
