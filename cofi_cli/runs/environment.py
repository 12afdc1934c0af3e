"""env.json: what a run's results depend on beside its configuration."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cofi_cli.config import RunConfig
from cofi_cli.runs.machine import cpu_name, versions

_PACKAGES = (
    "cofi-cli",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "numpy",
    "datasets",
)
_OWN = ("python", "cpu", "threads", "device", "gpu", "processes")
"""What else a result depends on."""


def describe_environment(
    config: RunConfig, data: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Return versions, hardware, threads, seed, data fingerprints, and where paths start."""
    return {
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(*_PACKAGES),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "seed": config.seed,
        "data": data,
    }


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes a result and is another now: name -> today's value.

    Args:
        before: env.json as the run began; what it does not name is not compared.
        now: of this call.
    """
    before, now = _flat(before), _flat(now)
    return {name: now[name] for name in now if name in before and now[name] != before[name]}


def resumed_record(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return env.json of a resumed run: as it began, and what was another when it went on."""
    changed = environment_changes(before, now)
    return {**before, "resumed": [*before.get("resumed", ()), changed]} if changed else {**before}


def changes_in_words(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return one line that names what differs from a run's beginning, ``None`` if nothing."""
    changed, began = environment_changes(before, now), _flat(before)
    if not changed:
        return None
    parts = "; ".join(f"{name} was {began[name]}, is {value}" for name, value in changed.items())
    return (
        f"The run began in another environment: {parts}. "
        "Its weights may differ from those of a run that was not interrupted."
    )


def _flat(env: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a result depends on, packages among them by name."""
    own = {name: env[name] for name in _OWN if name in env}
    return {**own, **env.get("packages", {})}
