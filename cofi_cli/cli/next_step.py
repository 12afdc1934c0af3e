"""The commands that follow a run."""

from __future__ import annotations

import shlex

from cofi_cli.runs import RunDir
from cofi_cli.runs.records import LatencySetting, RunReport
from cofi_cli.yaml_files import read_yaml


def next_step(report: RunReport, run: RunDir, *, all_sizes: bool) -> str:
    """Return the export and the benchmark of what a run was asked for: its case, its bytes.

    Args:
        report: of the run.
        run: it.
        all_sizes: export every size, not the chosen one alone.
    """
    root = shlex.quote(str(run.root)) + " --all-sizes" * all_sizes
    target = report.latency_target
    files, case = _case_flags(target.setting) if target else ("", "")
    if (size := read_yaml(run.config).get("size")) is not None:
        files += f" --size {size}"
    return f"next    cofi export {root}{files}{case} && cofi bench {root}{case}"


def _case_flags(setting: LatencySetting) -> tuple[str, str]:
    """Return the flags of a speed's case: those of an export alone, and those of both commands."""
    files = "" if setting.precision == "fp32" else f" --precision {setting.precision}"
    flags = f" --provider {setting.provider} --batch {setting.batch}"
    flags += f" --threads {setting.threads}" if setting.threads else ""
    # The task's lengths are none that an export times.
    return files, flags + (f" --seq-len {setting.seq_len}" if setting.seq_len != "task" else "")
