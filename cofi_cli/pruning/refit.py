"""Least squares in the place of training: what is kept makes up for what is gone.

After the layer-wise reconstruction of Kwon et al. (2022), section 4.3, one sub-layer after the
other, on the inputs that the pruned model has there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.encoder import Attention, FeedForward

RIDGE = 1e-3
"""Of the mean squared input: how strongly weights are drawn to what they were."""

Batch = Mapping[str, Tensor]


class _Reached(Exception):
    """The sub-layer has run: what follows is not needed."""


@dataclass
class _Tap:
    """What a sub-layer saw in one pass, at the n real positions.

    The stream x, (n, d), and of its output projection the inputs, (n, k), and outputs, (n, d).
    """

    keep: Tensor
    seen: dict[str, Tensor] = field(default_factory=dict)

    def stream(self, _: nn.Module, given: tuple[Any, ...]) -> None:
        self.seen["x"] = self._real(given[0])

    def projection(self, _: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        self.seen |= {"inputs": self._real(given[0]), "outputs": self._real(out)}

    def _real(self, state: Tensor) -> Tensor:
        return state.detach().reshape(-1, state.shape[-1])[self.keep]


def refit(
    small: CofiForTask,
    dense: CofiForTask,
    batches: Sequence[Batch],
    *,
    ridge: float = RIDGE,
    tick: Callable[[int], None] = lambda _: None,
) -> None:
    """Fit the output projection of each kept sub-layer of a compact model, in place.

    With the stream x and the projection's inputs h of the compact model, and the stream and
    outputs x', y' of the dense one, W minimises Σ ‖x + W·h - (x' + y')‖² + λ·‖W - W₀‖².

    Args:
        small: compact, of all hidden dims, in evaluation mode.
        dense: that it was cut from, likewise.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids``, (B, T), on their device.
        ridge: λ in units of the mean squared input.
        tick: told of each sub-layer that is done.
    """
    pairs = list(zip(_sub_layers(small), _sub_layers(dense)))
    kept = [(own, theirs) for own, theirs in pairs if own is not None and theirs is not None]
    wanted = _sums(dense, [theirs for _, theirs in kept], batches)
    for number, ((sub_layer, _), sums) in enumerate(zip(kept, wanted)):
        projection = _projection(sub_layer)
        has_bias = projection.bias is not None
        gram = cross = torch.zeros(())
        for batch, total in zip(batches, sums, strict=True):
            seen = _seen(small, [sub_layer], batch)[0]
            inputs = seen["inputs"].float()
            if has_bias:
                inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
            gram = gram + (inputs.T @ inputs).double().cpu()
            cross = cross + (inputs.T @ (total.float() - seen["x"].float())).double().cpu()
        before = projection.weight
        if projection.bias is not None:
            before = torch.cat([before, projection.bias[:, None]], dim=1)
        pull = ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        start = before.detach().double().cpu().T
        found = torch.linalg.solve(gram + pull, cross + pull @ start).T.to(projection.weight)
        with torch.no_grad():
            projection.weight.copy_(found[:, : projection.in_features])
            if projection.bias is not None:
                projection.bias.copy_(found[:, -1])
        tick(number + 1)


def _sub_layers(model: CofiForTask) -> list[nn.Module | None]:
    layers: Any = model.model.encoder.layers
    return [part for layer in layers for part in (layer.attention, layer.ffn)]


def _projection(sub_layer: nn.Module) -> nn.Linear:
    assert isinstance(sub_layer, Attention | FeedForward)
    return sub_layer.output if isinstance(sub_layer, Attention) else sub_layer.down


def _sums(
    dense: CofiForTask, sub_layers: Sequence[nn.Module], batches: Sequence[Batch]
) -> list[list[Tensor]]:
    """Return x' + y' of each sub-layer in each batch, (n, d)."""
    found: list[list[Tensor]] = [[] for _ in sub_layers]
    for batch in batches:
        for sums, seen in zip(found, _seen(dense, sub_layers, batch)):
            sums.append(seen["x"] + seen["outputs"])
    return found


@torch.no_grad()
def _seen(
    model: CofiForTask, sub_layers: Sequence[nn.Module], batch: Batch
) -> list[dict[str, Tensor]]:
    """Run a batch as far as the last of some sub-layers; return what each saw."""
    taps = [_Tap(batch["attention_mask"].flatten().bool()) for _ in sub_layers]

    def stop(*_: Any) -> None:
        raise _Reached

    handles = []
    for sub_layer, tap in zip(sub_layers, taps):
        handles.append(sub_layer.register_forward_pre_hook(tap.stream))
        handles.append(_projection(sub_layer).register_forward_hook(tap.projection))
    handles.append(sub_layers[-1].register_forward_hook(stop))
    try:
        model.run(**dict[str, Any](batch))
    except _Reached:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [tap.seen for tap in taps]
