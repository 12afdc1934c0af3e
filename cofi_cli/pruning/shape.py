"""The shape of an encoder: dense, and the widths that are left of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cofi_cli.modeling import CofiConfig

GROUPS = ("head", "attention", "ffn_dim", "ffn", "hidden")
"""The groups of gates (CoFi, section 2.1)."""


@dataclass(frozen=True)
class Widths:
    """Integer widths of an encoder.

    Attributes:
        heads: of each layer; 0 = no attention sub-layer.
        ffn: FFN dims of each layer; 0 = no FFN sub-layer.
        hidden: kept hidden dims.
    """

    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    hidden: int


@dataclass(frozen=True)
class EncoderShape:
    """The dense shape: L layers of H heads of width dh, FFN width I, hidden width d.

    Attributes:
        ffn_matrices: m, matrices that an FFN dim has a row or column of; 3 where it is gated.
        attention_bias, ffn_bias: 1 where there are biases, otherwise 0.
    """

    n_layers: int
    n_heads: int
    head_dim: int
    ffn: int
    hidden: int
    ffn_matrices: int = 2
    attention_bias: int = 1
    ffn_bias: int = 1

    @classmethod
    def of(cls, config: CofiConfig) -> EncoderShape:
        """Read the shape of a dense model's configuration."""
        return cls(
            n_layers=config.num_hidden_layers,
            n_heads=max(config.layer_heads),
            head_dim=config.head_dim,
            ffn=max(config.layer_ffn),
            hidden=config.hidden_size,
            ffn_matrices=3 if config.gated_ffn else 2,
            attention_bias=int(config.attention_bias),
            ffn_bias=int(config.ffn_bias),
        )

    def per_head(self, hidden: Any) -> Any:
        """Return the weights of one head at this many kept hidden dims."""
        return self.head_dim * (4 * hidden + 3 * self.attention_bias)

    def per_dim(self, hidden: Any) -> Any:
        """Return the weights of one FFN dim at this many kept hidden dims."""
        return self.ffn_matrices * hidden + (self.ffn_matrices - 1) * self.ffn_bias

    @property
    def prunable(self) -> int:
        """M, the prunable weights of the dense model."""
        d, last_biases = self.hidden, self.attention_bias + self.ffn_bias
        units: int = self.n_heads * self.per_head(d) + self.ffn * self.per_dim(d)
        return self.n_layers * (units + last_biases * d)

    @property
    def max_sparsity(self) -> float:
        """Sparsity that leaves one sub-layer with one unit, at full hidden width."""
        return self.reachable(GROUPS)

    def reachable(self, groups: Iterable[str], multiple: int = 1) -> float:
        """Return the largest sparsity where only these groups of gates are learned.

        Args:
            groups: that are learned.
            multiple: hidden and FFN widths are multiples of it, or whole.
        """
        least = min(self.weights(widths) for widths in self.smallest(groups, multiple))
        return 1 - float(least) / self.prunable

    def smallest(self, groups: Iterable[str], multiple: int = 1) -> list[Widths]:
        """Return what the smallest encoder can be where only these groups are learned.

        It is what no gate can close, else a single sub-layer of either kind. The hidden width
        is full where heads and FFN dims bring the cost down to that without it; otherwise one
        multiple of hidden dims is left.
        """
        own = set(groups)
        has_heads, has_dims = "head" in own, "ffn_dim" in own
        stays = (not own & {"head", "attention"}, not own & {"ffn_dim", "ffn"})
        needs_hidden = any(stays) or not (has_heads or has_dims)
        least_d, least_dims = min(multiple, self.hidden), min(multiple, self.ffn)
        hidden = least_d if "hidden" in own and needs_hidden else self.hidden
        heads, dims = 1 if has_heads else self.n_heads, least_dims if has_dims else self.ffn
        none, first = (0,) * self.n_layers, (1,) + (0,) * (self.n_layers - 1)
        if any(stays):
            every = (1,) * self.n_layers
            kept = [every if stay else none for stay in stays]
            shares = [(kept[0], kept[1])]
        else:
            shares = [(first, none), (none, first)]
        return [
            Widths(tuple(heads * n for n in a), tuple(dims * n for n in f), hidden)
            for a, f in shares
        ]

    def weights(self, widths: Widths) -> int:
        """Return the prunable weights of an encoder of these widths, exactly."""
        d, layers = widths.hidden, zip(widths.heads, widths.ffn)
        return sum(self.attention_weights(h, d) + self.ffn_weights(w, d) for h, w in layers)

    def attention_weights(self, heads: int, hidden: int) -> int:
        """Return the weights of an attention sub-layer; none where it has no head."""
        return heads * int(self.per_head(hidden)) + self.attention_bias * hidden * (heads > 0)

    def ffn_weights(self, dims: int, hidden: int) -> int:
        """Return the weights of an FFN sub-layer; none where it has no dim."""
        return dims * int(self.per_dim(hidden)) + self.ffn_bias * hidden * (dims > 0)

    def as_dict(self) -> dict[str, int]:
        """Return plain numbers, for JSON."""
        return asdict(self)
