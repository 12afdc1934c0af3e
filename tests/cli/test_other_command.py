"""A run belongs to the command that began it: the other one leaves it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cofi_cli.errors import UNREACHABLE, USAGE
from cofi_cli.runs import RunDir, write_text
from tests.cli.conftest import Cofi
from tests.records import environment


def begun(folder: Path, quick_yaml: Path, command: str | None) -> RunDir:
    """Return a run as a command leaves it that was stopped early; ``None`` before env.json."""
    run = RunDir(folder)
    write_text(run.config, quick_yaml.read_text(encoding="utf-8"))
    if command is not None:
        environment(command=command).write(run.env)
    return run


def files(run: RunDir) -> dict[str, bytes]:
    paths = [p for p in run.root.rglob("*") if p.is_file() and p != run.lock]
    return {str(p): p.read_bytes() for p in paths}


@pytest.mark.parametrize(("own", "other"), [("prune", "finetune"), ("finetune", "prune")])
def test_a_run_of_the_other_command_is_not_written_over(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path, own: str, other: str
) -> None:
    run = begun(tmp_path / "mine", quick_yaml, own)
    before = files(run)
    new = cofi(other, "--config", quick_yaml, "-o", "mine")
    assert new.code == USAGE and new.out == ""
    assert f"mine holds a run of cofi {own}; cofi {other} would write over it." in new.err
    assert "another folder" in new.err and "--resume" not in new.err
    again = cofi(other, "--resume", "-o", "mine")
    assert again.code == USAGE and again.out == ""
    assert f"mine holds a run of cofi {own}; cofi {other} would write over it." in again.err
    assert "another folder" in again.err and "--resume" not in again.err
    assert files(run) == before


def test_a_bare_resume_finds_runs_of_its_own_command(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    begun(tmp_path / "runs" / "a", quick_yaml, "finetune")
    begun(tmp_path / "runs" / "model-sst2-finetune-2", quick_yaml, None)
    assert cofi("prune", "--resume").code == UNREACHABLE
    begun(tmp_path / "runs" / "b-finetune", quick_yaml, "prune")
    said = cofi("prune", "--resume", "--sparsity", "0.8").err
    assert "Resuming runs/b-finetune" in said, "what env.json says counts for more than a name"
