"""``cofi finetune``."""

from __future__ import annotations

from typing import Any

from cofi_cli.cli import options as o
from cofi_cli.cli.flags import flagged
from cofi_cli.cli.training import train
from cofi_cli.config import RunConfig


@flagged(RunConfig, o.SHARED, unset=o.SHARED)
def finetune(
    model: o.Model = None,
    *,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    overrides: o.Set = None,
    output: o.Output = None,
    resume: o.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    **given: Any,
) -> None:
    """Train a dense teacher, or train a compact model further.

    A dense MODEL is trained on labels, by the settings of section teacher. A compact MODEL is
    trained by the settings of section recover, and distilled if --teacher names a teacher. With
    --unlabelled, MODEL is distilled on texts alone.
    """
    train(
        "finetune",
        given | {"model": model},
        preset=preset,
        config=config,
        overrides=overrides,
        output=output,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
    )
