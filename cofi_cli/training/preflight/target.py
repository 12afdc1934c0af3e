"""Whether a target can be reached, told from configurations alone."""

from __future__ import annotations

from cofi_cli.architectures import adapter_for, load_config_dict, resolve
from cofi_cli.config import ALL_GATES, RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.training.stages.target import Target, as_speedup


def load_shape(config: RunConfig) -> EncoderShape:
    """Return the dense shape of the configured model, from its configuration alone.

    Raises:
        CofiError: not reachable, not supported, or compact already.
    """
    theirs = load_config_dict(resolve(config.model))
    if theirs["model_type"] == CofiConfig.model_type:
        raise CofiError(
            f"'{config.model}' is a compact model; pruning starts from a dense one.",
            hint=f"To train it further: cofi finetune {config.model} --task TASK",
        )
    adapter = adapter_for(config.model, theirs)
    return EncoderShape.of(CofiConfig(**adapter.config_to_ours(theirs)))


def check_target(config: RunConfig) -> tuple[EncoderShape, Target]:
    """Return the shape and the target when the chosen gates can reach it.

    Raises:
        CofiError: stating the reachable range; or there is no such latency table.
    """
    shape, settings = load_shape(config), config.prune
    target = Target.of(settings, shape)
    most = target.most(settings.gates, settings.round_widths_to)
    if target.reduction > most:
        is_part = set(settings.gates) != set(ALL_GATES)
        chosen = f" with prune.gates {', '.join(settings.gates)} alone" if is_part else ""
        if target.speedup is None:
            asked, high = f"prune.sparsity {settings.sparsity}", f"0 to {most:.4f}"
            known = f"'{config.model}' has {shape.prunable:,} prunable weights"
        else:
            asked, high = f"prune.speedup {target.speedup:g}", f"1 to {as_speedup(most):.2f}"
            dense = target.cost.dense
            known = (
                f"by {settings.table} '{config.model}' takes {1e3 * dense:.3g} ms, and "
                f"{1e3 * dense * (1 - most):.3g} ms at least"
            )
        raise CofiError(
            f"{asked} cannot be reached{chosen}: {known}; reachable is {high}.",
            hint="Ask for less, or leave prune.gates out." if is_part else None,
        )
    return shape, target
