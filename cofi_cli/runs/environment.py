"""env.json: what a run's results depend on, next to its configuration."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from cofi_cli.runs.machine import cpu_name, versions
from cofi_cli.runs.records import Environment

_PACKAGES = ("cofi-cli", "torch", "transformers", "accelerate", "tokenizers", "numpy", "datasets")
_OWN = ("python", "cpu", "threads", "device", "gpu", "processes")
"""What else a result depends on."""


def describe_environment(
    seed: int,
    data: Mapping[str, str],
    device: torch.device,
    *,
    command: str,
    bf16_gain: float,
    processes: int,
) -> Environment:
    """Return versions, hardware, threads, seed, data fingerprints, and where paths start."""
    return Environment(
        command=command,
        folder=str(Path.cwd()),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=versions(*_PACKAGES),
        cpu=cpu_name(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        device=device.type,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        seed=seed,
        data=dict(data),
        bf16_gain=bf16_gain,
        processes=processes,
    )


def resumed_record(before: Environment, now: Environment) -> tuple[Environment, str | None]:
    """Return env.json of a resumed run, and a line that names what differs, ``None`` if nothing.

    Args:
        before: env.json as the run began, which stays; a package that it does not name is not
            compared.
        now: of this call; what is another than at the beginning is added.
    """
    began, new = _flat(before), _flat(now)
    changed = {name: new[name] for name in new if name in began and new[name] != began[name]}
    if not changed:
        return before, None
    parts = "; ".join(f"{name} was {began[name]}, is {value}" for name, value in changed.items())
    return before.model_copy(update={"resumed": [*before.resumed, changed]}), (
        f"The run began in another environment: {parts}. "
        "Its weights may differ from those of a run that was not interrupted."
    )


def _flat(env: Environment) -> dict[str, str | int | None]:
    """Return the values that a result depends on, packages among them by name."""
    own: dict[str, str | int | None] = {name: getattr(env, name) for name in _OWN}
    return {**own, **env.packages}
