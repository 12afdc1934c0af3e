"""Which models of a benchmark are scored; decided before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence

from cofi_cli.deploy.targets import Model


def scored_models(models: Sequence[Model], *, torch: bool) -> list[Model]:
    """Return the models to score.

    A checkpoint's own score is in the run's report; scored again only when asked for.

    Args:
        models: all that are timed.
        torch: whether the checkpoints were asked for.
    """
    return [model for model in models if model.runtime != "torch" or torch]
