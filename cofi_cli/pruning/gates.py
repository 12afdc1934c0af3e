"""The five groups of gates (CoFi, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from cofi_cli.modeling import Masks
from cofi_cli.pruning import hard_concrete as hc
from cofi_cli.pruning.cost import Cost, ParameterCost
from cofi_cli.pruning.rounding import top
from cofi_cli.pruning.shape import GROUPS, EncoderShape
from cofi_cli.pruning.sparsity import sparsity

INIT_STD = 0.01
_FIRST_SHIFT = 0.05


class Gates(nn.Module):
    """Log-alphas of all gates; lives on the CPU.

    Args:
        shape: the dense encoder's shape.
        groups: which groups are learned; the others stay open.
        init: ``open`` starts all gates at the upper bound; ``reference`` starts
            the FFN dims at α = 0, as the CoFi code does.
        floor: lower bound of α.
        seed: of the small initial noise.
        cost: that targets are stated in; ``None`` = prunable weights.
    """

    def __init__(
        self,
        shape: EncoderShape,
        *,
        groups: Iterable[str] = GROUPS,
        init: str = "open",
        floor: float = hc.FLOOR,
        seed: int = 0,
        cost: Cost | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.floor = shape, floor
        self.cost = cost if cost is not None else ParameterCost(shape)
        self.learned = tuple(g for g in GROUPS if g in set(groups))
        sizes = {
            "head": (shape.n_layers, shape.n_heads),
            "attention": (shape.n_layers,),
            "ffn_dim": (shape.n_layers, shape.ffn),
            "ffn": (shape.n_layers,),
            "hidden": (shape.hidden,),
        }
        generator = torch.Generator().manual_seed(seed)
        for name in GROUPS:
            mean = 0.0 if init == "reference" and name == "ffn_dim" else hc.ALPHA_MAX
            noise = torch.randn(sizes[name], generator=generator) * INIT_STD
            alpha = (mean + noise).clamp(floor, hc.ALPHA_MAX)
            self.register_parameter(name, nn.Parameter(alpha, requires_grad=name in self.learned))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Masks:
        """Apply a function to the learned groups; the others are 1."""
        values = {
            name: function(alpha) if name in self.learned else torch.ones_like(alpha)
            for name, alpha in self.named_parameters()
        }
        return Masks(**values)

    def sample(self, generator: torch.Generator) -> Masks:
        """Draw one sample for a whole batch, with gradients to the log-alphas.

        Of the hidden dims the likeliest is open where none is: nothing can be computed without.
        """
        masks = self._map(lambda a: hc.sample(a, hc.draw_noise(a.numel(), generator).view_as(a)))
        if masks.hidden.any():
            return masks
        return replace(masks, hidden=top(self.get_parameter("hidden").detach(), 1).to(masks.hidden))

    def p_open(self) -> Masks:
        """Return P(z > 0) of every gate."""
        return self._map(hc.p_open)

    def soft_values(self) -> Masks:
        """Return the soft evaluation values of every gate."""
        return self._map(hc.soft_value)

    def expected_sparsity(self) -> Tensor:
        """Return the expected share of removed weights, a scalar with gradients."""
        return sparsity(self.p_open(), self.shape)

    def expected_reduction(self) -> Tensor:
        """Return r̂, the expected share of the dense cost that is saved, with gradients."""
        return 1 - self.cost.expected(self.p_open()) / self.cost.dense

    @torch.no_grad()
    def clamp(self) -> None:
        """Bound the log-alphas, as after every optimiser step."""
        for name in self.learned:
            self.get_parameter(name).clamp_(self.floor, hc.ALPHA_MAX)

    @torch.no_grad()
    def hold(self, target: float, *, tolerance: float = 1e-4) -> float:
        """Shift all log-alphas by one constant so that r̂ meets the target.

        r̂ falls monotonically in the shift: doubling brackets the target, false position
        (Illinois) finds it. Adam moves each gate by about one learning rate, hence the
        uniform direction.

        A target above what closed gates can bring is not met: the gates keep their order then,
        instead of ending all at the lower bound.

        Returns:
            The shift that was applied, in units of α; 0 within the tolerance.
        """
        error = self.expected_reduction().item() - target
        if abs(error) <= tolerance:
            return 0.0
        before = {name: self.get_parameter(name).clone() for name in self.learned}

        def error_at(shift: float) -> float:
            for name, alpha in before.items():
                self.get_parameter(name).copy_(alpha + shift)
            self.clamp()
            return self.expected_reduction().item() - target

        near, near_error = 0.0, error
        far = math.copysign(_FIRST_SHIFT, error)
        while (far_error := error_at(far)) * error > 0:
            if abs(far) >= hc.ALPHA_MAX - self.floor:
                if error > 0:
                    return far  # all gates are at the upper bound: the closest there is
                for name, alpha in before.items():
                    self.get_parameter(name).copy_(alpha)
                return 0.0
            near, near_error, far = far, far_error, 2 * far
        shift, error = far, far_error
        while abs(error) > tolerance / 4 and abs(far - near) > 1e-6:
            shift = near + (far - near) * near_error / (near_error - far_error)
            error = error_at(shift)
            if error * far_error < 0:
                near, near_error = far, far_error
            else:
                near_error /= 2  # the same end again: weigh it less
            far, far_error = shift, error
        return shift
