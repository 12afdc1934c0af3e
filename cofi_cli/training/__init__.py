"""Stages, the loop they run in, and the pipelines made of them."""

from cofi_cli.training.dry_run import dry_run
from cofi_cli.training.finetune import finetune
from cofi_cli.training.pipeline import prune
from cofi_cli.training.stages.interrupts import Diverged, Interrupted
from cofi_cli.training.stages.progress import Progress

__all__ = ["Diverged", "Interrupted", "Progress", "dry_run", "finetune", "prune"]
