"""The machine that a figure was measured on."""

from __future__ import annotations

import functools
import math
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from cofi_cli.errors import CofiError
from cofi_cli.runs.records import Machine

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
FLAGS = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
"""The instruction sets that decide how fast matrix products run."""
_USUAL_ARM = ("asimd", "asimddp")
"""What 64-bit ARM processors of desktops have, dot products of 8 bits among it."""


def describe_machine() -> Machine:
    """Return processor, cores, memory, load, system and GPU (``None`` where unknown)."""
    gpu, driver = _gpu()
    return Machine(
        cpu=cpu_name(),
        flags=cpu_flags(),
        cores=physical_cores(),
        logical_cores=available_cpus(),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        load_1min=round(psutil.getloadavg()[0], 2),
        os=platform.platform(),
        python=platform.python_version(),
        gpu=gpu,
        driver=driver,
    )


def cpu_name() -> str:
    """Return the processor's name."""
    return str(_cpu().get("brand_raw") or platform.processor() or platform.machine())


def cpu_flags() -> list[str]:
    """Return which of :data:`FLAGS` the processor has."""
    found = _cpu().get("flags") or ()
    if not found and platform.machine().lower() in ("arm64", "aarch64"):
        found = _USUAL_ARM  # macOS and Windows do not list those of ARM
    return [flag for flag in FLAGS if flag in found or flag.replace("_", "") in found]


@functools.cache
def _cpu() -> dict[str, Any]:
    """Ask once: py-cpuinfo measures the clock rate too, for more than a second."""
    import cpuinfo

    found: dict[str, Any] = cpuinfo.get_cpu_info()
    return found


def available_cpus() -> int:
    """Return how many logical processors this process may use."""
    return len(_allowed()) or os.cpu_count() or 1


def physical_cores() -> int:
    """Return how many cores this process may use, two hyper-threads counted as one."""
    try:
        return len({Path(SIBLINGS.format(cpu)).read_text("ascii") for cpu in _allowed()})
    except OSError:  # not Linux
        return min(psutil.cpu_count(logical=False) or available_cpus(), available_cpus())


def _allowed() -> list[int]:
    """Return the numbers of the processors that we may use; none where no one counts them."""
    process = psutil.Process()
    return list(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else []


def default_threads() -> int:
    """Return one thread per core that we may use, or as many as a container's quota is worth.

    Threads beyond a quota are all stopped for the rest of each tenth of a second.
    """
    quota = cpu_quota()
    cores = physical_cores()
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def cpu_quota() -> float | None:
    """Return how many processors' time our control groups grant, ``None`` without a limit.

    A limit holds for all groups below it. In a container our own group's path may be the
    host's; its limit is then at the root of what is mounted.
    """
    try:
        rows = [line.split(":", 2) for line in OWN_CGROUPS.read_text("utf-8").splitlines()]
    except OSError:
        return None
    found = []
    for _, controllers, path in rows:
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / "cpu" if controllers else CGROUPS  # version 1 has a tree a controller
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(root) and (quota := _quota_of(folder)) is not None:
                found.append(quota)
    return min(found, default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the limit of one control group, of version 2 or 1."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period")
            )
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number, and no limit
        return None


def check_threads(threads: int) -> None:
    """Refuse a number of threads that onnxruntime would try to start, and no machine runs well.

    Raises:
        CofiError: below 1, or far beyond the processors that we may use.
    """
    most = max(64, 4 * available_cpus())
    if not 1 <= threads <= most:
        raise CofiError(
            f"threads is {threads}; it must be from 1 to {most}.",
            hint=f"This process may use {available_cpus()} processors.",
        )


def versions(*packages: str) -> dict[str, str | None]:
    """Return the installed version of each distribution, ``None`` when absent."""
    found: dict[str, str | None] = dict.fromkeys(packages)
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _gpu() -> tuple[str | None, str | None]:
    """Return name and driver, as the driver's own tool says; without it there is no GPU for us."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None, None
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    name, _, driver = answer.stdout.strip().partition("\n")[0].rpartition(",")
    return name.strip() or None, driver.strip() or None
