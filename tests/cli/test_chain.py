"""The main job through the command line: prune, export, bench; interrupted and resumed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from cofi_cli.errors import GATE, INTERRUPTED
from cofi_cli.runs import RunDir, read_json
from tests.cli.conftest import Cofi
from tests.tiny_kinds import save_texts


def test_a_dry_run_says_all_and_writes_nothing(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    result = cofi("prune", "--config", quick_yaml, "--sparsity", "0.7", "--dry-run")
    assert result.code == 0
    for text in (
        "sparsity: 0.7",
        "5,688",
        "teacher",
        "recover",
        "0 to 0.99",
        "runs/model-sst2-0.7",
        "sst2: classification, by accuracy",
        "negative, positive",
    ):
        assert text in result.out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json(cofi: Cofi, tmp_path: Path, quick_yaml: Path) -> None:
    plan = json.loads(cofi("prune", "--config", quick_yaml, "--dry-run", "--json").out)
    assert [stage["name"] for stage in plan["stages"]] == ["teacher", "prune", "recover"]
    assert [stage["steps"] for stage in plan["stages"]] == [48, 64, 32]
    assert plan["config"]["prune"]["sparsity"] == 0.6
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_warns_of_gates_that_cannot_close(cofi: Cofi, quick_yaml: Path) -> None:
    slow = ("--set", "prune.constraint=lagrangian", "--set", "prune.gate_learning_rate=0.01")
    result = cofi("prune", "--config", quick_yaml, *slow, "--dry-run")
    assert result.code == 0
    assert "Warning: Open gates cannot close in the 48 steps" in result.out
    assert "Warning" not in cofi("prune", "--config", quick_yaml, "--dry-run").out


def test_a_preset_is_chosen_by_the_task_and_named(
    cofi: Cofi, bert_folder: Path, reviews: Path
) -> None:
    asked = ("--data", reviews, "--max-length", "32", "--dry-run")
    result = cofi("prune", bert_folder, "--task", "sst2", *asked, "--json")
    assert "glue-large" in result.err
    assert json.loads(result.out)["config"]["prune"]["ramp_epochs"] == 4
    other = cofi("prune", bert_folder, "--task", "rte", *asked)
    assert "glue-small" in other.err


def test_prune_then_export_then_bench(
    cofi: Cofi,
    tmp_path: Path,
    quick_yaml: Path,
    requests: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On local files no process asks the network for anything, though offline is not asked for."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    pruned = cofi("prune", "--config", quick_yaml)
    assert pruned.code == 0, pruned.err
    run = RunDir(tmp_path / "runs" / "model-sst2-0.6")
    assert run.is_finished and run.report_md.exists() and run.structure.exists()
    for text in ("accuracy", "encoder weights", "heads", "hidden", "cofi export"):
        assert text in pruned.out
    assert str(run.model.relative_to(tmp_path)) in pruned.out
    assert "structure.svg" in pruned.out
    for text in ("teacher 48/48", "prune 64/64", "sparsity", "examples/s"):
        assert text in pruned.err
    assert "it/s]" not in pruned.err, "no bars of the libraries"
    saved = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    assert saved == yaml.safe_load(quick_yaml.read_text(encoding="utf-8"))

    exported = cofi("export", "--json")
    assert exported.code == 0, exported.err
    assert json.loads(exported.out)["parity"]["max_abs_delta"] <= 1e-4

    cases = ("--batch", "1,2", "--seq-len", "8", "--threads", "1")
    quick = (*cases, "--runs", "4", "--min-seconds", "0")
    timed = cofi("bench", *quick, "--json", "-o", "mine.json")
    assert timed.code == 0, timed.err
    assert json.loads(timed.out) == read_json(tmp_path / "mine.json") == read_json(run.bench)
    assert {case["case"] for case in json.loads(timed.out)["cases"]} == {"b1-s8", "b2-s8"}

    gated = cofi("bench", *quick, "--min-speedup", "1000", "--gate-case", "b1-s8")
    assert gated.code == GATE
    assert "Gate failed: model has a speedup of" in gated.err and "1000" in gated.err
    assert "FAILED" in gated.out, "the results are shown all the same"

    assert requests.read_text() == ""

    again = cofi("prune", "--config", quick_yaml, "--dry-run", "--json")
    assert json.loads(again.out)["output"] == "runs/model-sst2-0.6-2", "the name is taken"


def test_json_alone_goes_to_stdout(cofi: Cofi, tmp_path: Path, quick_yaml: Path) -> None:
    short = ("--set", "teacher.epochs=0.5", "--set", "prune.epochs=3", "--set", "recover.epochs=0")
    result = cofi("prune", "--config", quick_yaml, *short, "-o", "run", "--json", "--quiet")
    assert result.code == 0, result.err
    assert json.loads(result.out) == read_json(tmp_path / "run" / "report.json")
    assert "examples/s" not in result.err, "quiet shows no progress"


def test_finetune_makes_a_teacher_that_prune_takes(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, quick_yaml: Path
) -> None:
    tuned = cofi("finetune", bert_folder, "--config", quick_yaml, "-o", "teacher")
    assert tuned.code == 0, tuned.err
    assert "accuracy" in tuned.out and str(Path("teacher/model")) in tuned.out
    flags = ("--teacher", "teacher/model", "--dry-run", "--json")
    plan = json.loads(cofi("prune", "--config", quick_yaml, *flags).out)
    assert [stage["name"] for stage in plan["stages"]] == ["prune", "recover"]


def test_interrupted_and_resumed(cofi: Cofi, tmp_path: Path, quick_yaml: Path) -> None:
    """Ctrl-C in the pruning stage; then a bare --resume finds the run and ends it."""
    command = [sys.executable, "-m", "cofi_cli", "prune", "--config", str(quick_yaml)]
    slow = ["--set", "prune.epochs=8", "--set", "recover.epochs=0"]
    child = subprocess.Popen(
        [*command, *slow],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = RunDir(tmp_path / "runs" / "model-sst2-0.6")
    deadline = time.monotonic() + 60
    while not (run.checkpoints / "prune" / "latest.pt").exists():
        assert child.poll() is None and time.monotonic() < deadline, child.communicate()
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == INTERRUPTED, err
    assert out == "" and "Traceback" not in err
    assert "Interrupted in stage 'prune'" in err and "the state is saved" in err
    assert "cofi prune --resume -o runs/model-sst2-0.6" in err
    assert not run.is_finished

    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    assert config["prune"]["epochs"] == 8
    resumed = cofi("prune", "--resume")
    assert resumed.code == 0, resumed.err
    assert run.is_finished and "Resuming runs/model-sst2-0.6" in resumed.err
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    steps = [row["step"] for row in rows if row["stage"] == "prune"]
    assert steps == list(range(1, 129)), "no step is lost or done twice in the log"


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of another kind")
@pytest.mark.parametrize("with_bar", [True, False])
def test_a_terminal_that_is_closed(tmp_path: Path, quick_yaml: Path, with_bar: bool) -> None:
    """It hangs up, and all that is written to it fails; the state is saved all the same."""
    import fcntl
    import pty
    import termios

    def at_the_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests run under
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "cofi_cli", "prune", "--config", str(quick_yaml)]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*command, "--set", "prune.epochs=8"],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm" if with_bar else "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=at_the_terminal,
    )
    os.close(theirs)
    run = RunDir(tmp_path / "runs" / "model-sst2-0.6")
    latest, deadline = run.checkpoints / "prune" / "latest.pt", time.monotonic() + 60
    while not latest.exists():
        assert child.poll() is None and time.monotonic() < deadline
        if select.select([ours], [], [], 0.05)[0]:
            os.read(ours, 65536)  # so that nobody waits for it
    saved = latest.stat().st_mtime_ns
    os.close(ours)  # the kernel hangs the terminal up
    assert child.wait(timeout=60) == INTERRUPTED
    assert latest.stat().st_mtime_ns > saved and not run.is_finished


def test_texts_and_a_teacher_are_enough(cofi: Cofi, tmp_path: Path, bert_folder: Path) -> None:
    """No MODEL, no label: the student starts from the teacher, and says so."""
    save_texts(tmp_path / "texts.txt")
    flags = ("--train", "texts.txt", "--unlabelled", "--teacher", bert_folder)
    plan = cofi("prune", *flags, "--max-length", "24", "--dry-run", "--json")
    assert plan.code == 0, plan.err
    assert "No MODEL: the student starts from the teacher" in plan.err
    found = json.loads(plan.out)
    assert (found["metric"], found["labels"]) == ("agreement", ["LABEL_0", "LABEL_1"])
    assert found["rows"] == {"train": 108, "validation": 12}
    assert found["config"]["prune"]["student_init"] == "auto"
    assert [stage["name"] for stage in found["stages"]] == ["prune", "recover"]
    short = ("--set", "prune.epochs=2", "--set", "prune.dense_epochs=0.5")
    shorter = ("--set", "prune.ramp_epochs=0.5", "--set", "recover.epochs=0")
    run = cofi("prune", *flags, "--preset", "quick", "--max-length", "24", *short, *shorter)
    assert run.code == 0, run.err
    assert "agreement with the teacher" in run.out
    assert "Agreement is not accuracy: no label was read." in run.out


def test_a_label_column_for_each_label(cofi: Cofi, tmp_path: Path, bert_folder: Path) -> None:
    rows = "text,rude,toxic\n" + "good film,0,1\nbad film,1,0\n" * 8
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    files = ("--train", "rows.csv", "--validation", "rows.csv", "--max-length", "24")
    labels = ("--label", "rude", "--label", "toxic")
    plan = cofi("prune", bert_folder, *files, *labels, "--dry-run", "--json")
    assert plan.code == 0, plan.err
    found = json.loads(plan.out)
    assert (found["metric"], found["labels"]) == ("micro_f1", ["rude", "toxic"])
    one = cofi("prune", bert_folder, *files, "--label", "rude", "--dry-run", "--json")
    assert json.loads(one.out)["metric"] == "accuracy"
