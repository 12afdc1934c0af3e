"""What the benchmarks that prune real models share: running cofi, reading what a run left."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cofi_cli.format import threads


def cofi(*arguments: object) -> None:
    """Run a command of cofi; its progress is ours."""
    command = [sys.executable, "-m", "cofi_cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def prune(run: Path, *arguments: object, settings: Mapping[str, object]) -> None:
    """Prune once, unless this run ended already; an interrupted one goes on."""
    if (run / "report.json").exists():
        return
    sets = settings_of(settings)
    resume = ["--resume"] if (run / "config.yaml").exists() else []
    cofi("prune", *arguments, "-o", run, *sets, *resume)


def settings_of(settings: Mapping[str, object]) -> list[str]:
    """Return settings as arguments of a command."""
    return [item for key, value in settings.items() for item in ("--set", f"{key}={value}")]


def read(file: Path) -> Any:
    """Return a run's JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def environment(run: Path) -> str:
    """Return where a run was made, in words."""
    env = read(run / "env.json")
    slow = "" if env["bf16_gain"] else ", without fast bf16 products"
    return (
        f"{env['cpu']}, {env['cores']} cores{slow}, {threads(env['threads'])}, "
        f"torch {env['packages']['torch']}"
    )


def mean_interval(values: Sequence[float]) -> str:
    """Show a mean with its 95 % interval by Student's t; a single value as it is."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    # Two-sided 97.5 % quantiles of t for 1 to 9 degrees of freedom.
    t = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)[len(values) - 2]
    half = t * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.1f} ± {half:.1f}"
