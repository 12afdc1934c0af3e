"""``cofi prune``."""

from __future__ import annotations

from typing import Any

from cofi_cli.cli import options as o
from cofi_cli.cli.flags import flagged
from cofi_cli.cli.training import train
from cofi_cli.config import RunConfig


@flagged(RunConfig, o.PRUNE, unset=o.PRUNE)
def prune(
    model: o.Model = None,
    *,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    overrides: o.Set = None,
    output: o.Output = None,
    resume: o.Resume = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    **given: Any,
) -> None:
    """Prune a model: train a teacher, learn what to keep, cut it out, recover, report.

    [bold]cofi prune MODEL --train F --validation F --max-drop 1[/bold]  several sizes, one chosen

    [bold]cofi prune bert-base-uncased --task sst2 --sparsity 0.95[/bold]
    """
    train(
        "prune",
        given | {"model": model},
        preset=preset,
        config=config,
        overrides=overrides,
        output=output,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
        dry_run=dry_run,
    )
