"""env.json: what a run's results depend on beside its configuration."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from cofi_cli.config import RunConfig
from cofi_cli.tasks import Task

_PACKAGES = (
    "cofi-cli",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "numpy",
    "datasets",
)


def describe_environment(config: RunConfig, task: Task, device: torch.device) -> dict[str, Any]:
    """Return versions, hardware, threads, seed, data fingerprints, and where paths start."""
    return {
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "seed": config.seed,
        "data": task.fingerprint,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
