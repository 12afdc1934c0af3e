"""Run folders: whole writes or none, the latest run, and what a full disk says."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.report.report import refresh
from cofi_cli.runs import (
    RunDir,
    atomic,
    command_of,
    read_json,
    write_atomic,
    write_json,
    write_text,
)
from cofi_cli.runs.claim import claim
from cofi_cli.runs.records import RunReport
from tests.records import environment, export_record, run_report


def finish(root: Path, *, at: float) -> RunDir:
    run = RunDir(root)
    write_json(run.model / "config.json", {})
    write_json(run.report_json, {})
    for file in (run.model / "config.json", run.report_json):
        os.utime(file, (at, at))
    return run


def test_json_survives_the_way_there_and_back(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"b": [1, None, "ü"]})
    assert read_json(tmp_path / "deep" / "a.json") == {"b": [1, None, "ü"]}


def test_nan_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"new": float("nan")})
    assert read_json(path) == {"old": 1}


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_atomic(path, fail)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_get_the_rights_of_new_files(tmp_path: Path, umask: int, rights: int) -> None:
    """safetensors' writer leaves a file to its owner alone."""

    def build(temporary: Path) -> None:
        (temporary / "deep").mkdir(parents=True)
        save_file({"a": torch.zeros(2)}, temporary / "deep" / "model.safetensors")
        (temporary / "private.json").touch(mode=0o600)
        (temporary / "run.sh").touch()
        (temporary / "run.sh").chmod(0o700)

    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "model", build)
        write_atomic(tmp_path / "one", lambda temporary: temporary.touch(mode=0o600))
    finally:
        os.umask(before)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in written}
    assert found.pop("run.sh") == 0o700 | rights
    assert found == dict.fromkeys(["model.safetensors", "private.json", "one"], rights)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_text(folder / "old.txt", "old")

    def build(temporary: Path) -> None:
        temporary.mkdir()
        (temporary / "new.txt").write_text("new", encoding="utf-8")

    write_atomic(folder, build)
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, is_there: bool) -> None:
    target, link = tmp_path / "there" / "a.txt", tmp_path / "link.txt"
    if is_there:
        write_text(target, "old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "new"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_link_to_a_folder_stays(tmp_path: Path) -> None:
    write_text(tmp_path / "there" / "old.txt", "old")
    (tmp_path / "link").symlink_to("there")
    write_atomic(tmp_path / "link", lambda temporary: temporary.mkdir())
    assert (tmp_path / "link").is_symlink() and list((tmp_path / "there").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
def test_a_pipe_and_the_current_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(CofiError, match="pipe is a device or a pipe"):
            write_text(path, "text")
    write_text(tmp_path / "here" / "below" / "old.txt", "old")
    monkeypatch.chdir(tmp_path / "here" / "below")
    for path in (Path(), Path("..")):
        with pytest.raises(CofiError, match="is the current folder, or holds it"):
            write_atomic(path, lambda temporary: pytest.fail("nothing is made"))
    assert [path.name for path in Path().iterdir()] == ["old.txt"]


def test_a_folder_that_cannot_be_put_in_place_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "model" / "it.txt", "old")
    real, calls = os.replace, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", second_fails)
    with pytest.raises(CofiError, match="Input/output error"):
        write_atomic(tmp_path / "model", lambda temporary: temporary.mkdir())
    assert (tmp_path / "model" / "it.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    # Killed between the steps: what may be the only version stays.
    left = atomic.temporary_beside(tmp_path / "model").name.replace(str(os.getpid()), "999999999")
    (tmp_path / (left + atomic.OLD)).mkdir()
    write_atomic(tmp_path / "model", lambda temporary: temporary.mkdir())
    assert (tmp_path / (left + atomic.OLD)).exists()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """A process dies while it writes; the next one that writes there cleans up."""
    code = f"""
import os, signal
from pathlib import Path
from cofi_cli.runs import write_atomic
def die(temporary):
    temporary.mkdir()
    (temporary / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
write_atomic(Path({str(tmp_path / "on[n]x")!r}), die)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    alive = left.with_name(
        left.name.rpartition("-")[0].rpartition("-")[0] + f"-{os.getpid()}-x.tmp"
    )
    alive.mkdir()
    other = tmp_path / ".on[n]x.0badcafe-1-x.tmp"  # another machine's
    other.mkdir()
    write_text(tmp_path / "on[n]x" / "whole.txt", "whole")
    assert left.exists(), "beside another target nothing is touched"
    write_atomic(tmp_path / "on[n]x", lambda temporary: temporary.mkdir())
    assert {path.name for path in tmp_path.iterdir()} == {"on[n]x", alive.name, other.name}


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CofiError) as caught:
        write_atomic(tmp_path / "a.bin", fail)
    assert caught.value.message.startswith("No space left on the device while writing")
    assert "--resume" in str(caught.value.hint)
    assert caught.value.exit_code == UNREACHABLE


@pytest.mark.parametrize("save", ["torch", "safetensors"])
def test_a_place_that_takes_no_more_is_named_whoever_writes(tmp_path: Path, save: str) -> None:
    """The system refuses for real, in a process that may write no file over 8 kB."""
    code = f"""
import resource, torch
from pathlib import Path
from safetensors.torch import save_file
from cofi_cli.errors import CofiError
from cofi_cli.runs import write_atomic
from cofi_cli.training.stages.checkpoint import save_state
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
path, state = Path({str(tmp_path / "a.bin")!r}), {{"a": torch.zeros(9999)}}
try:
    if {save!r} == "torch":
        save_state(path, state)
    else:
        write_atomic(path, lambda temporary: save_file(state, temporary))
except CofiError as error:
    print(error.exit_code, error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"6 Cannot write {tmp_path / 'a.bin'}: File too large.\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_other_errors_while_writing_are_left_alone(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        try:
            raise FileNotFoundError(errno.ENOENT, "No such file", "x")
        except OSError as error:
            raise ValueError("of another kind") from error

    with pytest.raises(ValueError, match="of another kind"):
        write_atomic(tmp_path / "a.bin", fail)


def test_broken_json_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(CofiError, match=r"Cannot read .*report\.json"):
        read_json(path)


def test_latest_is_the_newest_finished_run(tmp_path: Path) -> None:
    finish(tmp_path / "b", at=1_000)
    newest = finish(tmp_path / "a", at=2_000)
    write_text(RunDir(tmp_path / "unfinished").config, "model: x\n")
    assert RunDir.latest(tmp_path).root == newest.root
    assert not RunDir(tmp_path / "unfinished").is_finished


def test_a_report_that_is_written_again_makes_no_run_the_latest(tmp_path: Path) -> None:
    old, new = finish(tmp_path / "old", at=1_000), finish(tmp_path / "new", at=2_000)
    run_report().write(old.report_json)
    export_record().write(old.onnx / "export.json")
    refresh(old)
    assert RunReport.read(old.report_json).onnx is not None
    assert RunDir.latest(tmp_path).root == new.root


def test_without_a_finished_run_there_is_advice(tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="No finished run") as caught:
        RunDir.latest(tmp_path / "runs")
    assert caught.value.exit_code == UNREACHABLE
    assert "cofi prune MODEL --task TASK" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("x-finetune", "finetune"),
        ("x-finetune-2", "finetune"),
        ("x-finetune-0.95", "prune"),
        ("x-finetuned", "prune"),
        ("x-0.95-2", "prune"),
    ],
)
def test_a_run_without_env_json_is_told_by_its_name(
    tmp_path: Path, name: str, command: str
) -> None:
    run = RunDir(tmp_path / name)
    assert command_of(run) == command
    other = {"prune": "finetune", "finetune": "prune"}[command]
    environment(command=other).write(run.env)
    assert command_of(run) == other


def test_a_checkpoint_of_finetune_tells_whatever_the_name(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "mine")
    write_text(run.checkpoints / "finetune" / "latest.pt", "")
    assert command_of(run) == "finetune"


def test_the_lock_of_a_run_stays(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with claim(run):
        write_text(run.config, "")
        held = run.lock.stat().st_ino
    assert run.lock.stat().st_ino == held
    with claim(run):
        assert run.lock.stat().st_ino == held


def test_no_lock_is_removed_while_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to remove an open file."""
    unlink = Path.unlink

    def checked(path: Path, missing_ok: bool = False) -> None:
        with FileLock(path, blocking=False):
            pass
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", checked)
    (tmp_path / "rows.csv").touch()
    with claim(RunDir(tmp_path)):
        pass
    with claim(RunDir(tmp_path / "deep" / "run")):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
