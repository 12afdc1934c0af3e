"""A whole run on a tiny model: artefacts, determinism, and nothing lost when it is stopped."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

import cofi_cli.auto  # noqa: F401  (registers the model type)
from cofi_cli import runs
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.pruning.sparsity import count_prunable
from cofi_cli.runs import RunDir, read_json, write_json
from cofi_cli.runs.claim import claim
from cofi_cli.runs.records import RunReport
from cofi_cli.training import Diverged, Interrupted, dry_run, finetune, prune
from cofi_cli.training.stages.progress import Silent
from tests.stopping import StopAt, assert_same_weights
from tests.tiny import SHAPE, quick_config

CHILD = """
import sys, torch
from pathlib import Path
from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir
from cofi_cli.training import prune
config = RunConfig.model_validate_json(Path(sys.argv[1]).read_text())
prune(config, RunDir(Path(sys.argv[2])), resume=True)
"""


@pytest.fixture(scope="module")
def config(bert_folder: Path, reviews: Path) -> RunConfig:
    return quick_config(bert_folder, reviews)


@pytest.fixture(scope="module")
def finished(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("finished") / "run")
    prune(config, run)
    return run


def test_report_and_artefacts_agree(finished: RunDir) -> None:
    report = RunReport.read(finished.report_json)
    plan = PrunePlan(**read_json(finished.plan))
    model = AutoModelForSequenceClassification.from_pretrained(finished.model)
    realised = 1 - count_prunable(model) / SHAPE.prunable
    assert report.sparsity.realised == pytest.approx(realised)
    assert plan.sparsity == pytest.approx(realised)
    assert report.missed is None and realised >= 0.6 - 0.001
    assert report.structure.ffn == model.config.layer_ffn
    assert report.parity.masked_vs_compact <= 1e-5
    assert {"teacher", "prune", "recover"} == set(report.stages)
    assert all(stage.examples_per_second > 0 for stage in report.stages.values())
    teacher = BertForSequenceClassification.from_pretrained(finished.teacher)
    assert teacher.config.id2label == {0: "negative", 1: "positive"}
    assert report.teacher.score > 80, "the task is easy, so the teacher must learn it"


def test_metrics_hold_the_constraint_past_the_ramp(finished: RunDir, config: RunConfig) -> None:
    rows = [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    pruning = [row for row in rows if row["stage"] == "prune"]
    assert [row["step"] for row in pruning] == list(range(1, len(pruning) + 1))
    held = [row for row in pruning if row.get("target_sparsity") == config.prune.sparsity]
    assert len(held) >= 20
    assert max(abs(row["expected_sparsity"] - config.prune.sparsity) for row in held) < 0.01
    assert {"loss", "prediction_loss", "layer_loss", "lambda1", "lambda2"} <= held[0].keys()


def test_one_seed_gives_one_model(finished: RunDir, config: RunConfig, tmp_path: Path) -> None:
    again = RunDir(tmp_path / "again")
    prune(config, again)
    assert_same_weights(finished, again)


def test_a_launchers_settings_change_nothing(
    finished: RunDir, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "8")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    run = RunDir(tmp_path / "run")
    prune(config, run)
    assert_same_weights(run, finished)


def test_another_seed_gives_another_model(
    finished: RunDir, config: RunConfig, tmp_path: Path
) -> None:
    other = RunDir(tmp_path / "other")
    prune(config.model_copy(update={"seed": 58}), other)
    assert read_json(other.plan) != read_json(finished.plan)


def test_keeping_teacher_outputs_changes_little(config: RunConfig, tmp_path: Path) -> None:
    """Kept or recomputed, the teacher says the same; only padding's rounding differs.

    With dropout, so that no loss is so small that it is all rounding.
    """
    distill = config.distill.model_copy(update={"dropout": 0.1})
    config = config.model_copy(update={"distill": distill})
    live, kept = RunDir(tmp_path / "live"), RunDir(tmp_path / "kept")
    settings = config.prune.model_copy(update={"teacher_cache_gb": 0.0})
    prune(config.model_copy(update={"prune": settings}), live)
    prune(config, kept)

    def first_losses(run: RunDir) -> list[float]:
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        return [row["loss"] for row in rows if row["stage"] == "prune"][:10]

    assert min(first_losses(kept)) > 1e-4
    assert first_losses(live) == pytest.approx(first_losses(kept), rel=1e-3)


@pytest.mark.parametrize("stage", ["teacher", "prune", "recover"])
def test_killed_and_resumed_gives_the_same_bits(
    stage: str, config: RunConfig, finished: RunDir, tmp_path: Path
) -> None:
    """SIGKILL of a real process in the middle of each stage."""
    run = RunDir(tmp_path / "killed")
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    command = [sys.executable, "-c", CHILD, str(file), str(run.root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    waiting_for = run.checkpoints / stage / "latest.pt"
    deadline = time.monotonic() + 300
    while not waiting_for.exists():
        assert child.poll() is None, child.stderr and child.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not run.is_finished, "killed too late to prove anything"
    prune(config, run, resume=True)
    assert_same_weights(finished, run)
    steps = [
        (row["stage"], row["step"]) for row in map(json.loads, run.metrics.read_text().splitlines())
    ]
    assert len(steps) == len(set(steps)), "no step is logged twice"


def test_interrupted_says_how_to_go_on_and_goes_on(
    config: RunConfig, finished: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "stopped")
    with pytest.raises(Interrupted) as caught:
        prune(config, run, progress=StopAt("prune", 30))
    assert caught.value.exit_code == 130
    assert "in stage 'prune', step 30;" in caught.value.message
    assert caught.value.hint == f"cofi prune --resume -o {run.root}"
    prune(config, run, resume=True)
    assert_same_weights(finished, run)


class Told(Silent):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_a_finished_run_is_left_as_it_is(
    config: RunConfig, finished: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    RunReport.read(run.report_json).model_copy(update={"seed": 99}).write(run.report_json)
    (run.checkpoints / "prune").mkdir(parents=True)  # as when it was killed while it cleared up
    files = [path for path in run.root.rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    told = Told()
    report = prune(config, run, resume=True, progress=told)
    assert report.seed == 99
    assert told.messages == [f"{run.root} is finished: nothing is left to train."]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before
    assert not run.checkpoints.exists()


def test_checkpoints_of_a_finished_run_go(
    config: RunConfig, finished: RunDir, reviews: Path, tmp_path: Path
) -> None:
    assert not finished.checkpoints.exists()
    train = config.train.model_copy(update={"keep_checkpoints": True})
    own = quick_config(finished.model, reviews).model_copy(update={"train": train})
    run = RunDir(tmp_path / "run")
    report = finetune(own, run)
    assert (run.checkpoints / "finetune" / "latest.pt").exists()
    assert finetune(own, run, resume=True) == report
    assert (run.checkpoints / "finetune" / "latest.pt").exists()


def test_resuming_in_another_environment_is_warned_of(
    config: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(Interrupted):
        prune(config, run, progress=StopAt("teacher", 2))
    began = read_json(run.env)
    with pytest.raises(Interrupted):
        prune(config, run, resume=True, progress=StopAt("teacher", 4))
    assert read_json(run.env) == began and "another environment" not in caplog.text
    other = began | {"threads": 8, "packages": began["packages"] | {"torch": "1.0"}}
    write_json(run.env, other)
    with pytest.raises(Interrupted):
        prune(config, run, resume=True, progress=StopAt("teacher", 6))
    torch_now = began["packages"]["torch"]
    assert f"threads was 8, is 1; torch was 1.0, is {torch_now}." in caplog.text
    assert read_json(run.env) == other | {"resumed": [{"threads": 1, "torch": torch_now}]}


def test_a_folder_that_holds_a_run_is_refused(config: RunConfig, finished: RunDir) -> None:
    with pytest.raises(CofiError, match="already holds a run") as caught:
        prune(config, finished)
    assert caught.value.exit_code == 2 and "--resume" in (caught.value.hint or "")


def test_resuming_with_another_configuration_names_what_changed(
    config: RunConfig, finished: RunDir
) -> None:
    changed = config.model_copy(update={"seed": 3})
    with pytest.raises(CofiError, match="seed was 57, is 3"):
        prune(changed, finished, resume=True)


def test_a_diverging_run_stops_and_keeps_the_last_good_state(
    bert_folder: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cofi_cli.training.stages.dense import DenseStage

    honest = DenseStage.step
    monkeypatch.setattr(
        DenseStage,
        "step",
        lambda self, batch, indices, step: (
            honest(self, batch, indices, step) | ({"loss": float("nan")} if step == 16 else {})
        ),
    )
    run = RunDir(tmp_path / "nan")
    with pytest.raises(Diverged) as caught:
        prune(quick_config(bert_folder, reviews), run)
    assert "stage 'teacher'" in caught.value.message and "step 17" in caught.value.message
    assert "latest.pt (step 14)" in caught.value.message
    assert "learning rate" in (caught.value.hint or "")
    assert (run.checkpoints / "teacher" / "latest.pt").exists()


def test_weights_that_a_step_ruined_are_neither_kept_nor_scored(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step is from before it."""
    from cofi_cli.training.stages.dense import DenseStage

    honest = DenseStage.step

    def ruined(self: DenseStage, batch: object, indices: object, step: int) -> dict[str, float]:
        row = honest(self, batch, indices, step)  # type: ignore[arg-type]
        if step == 13:
            self.model.classifier.weight.data.fill_(float("inf"))
        return row

    monkeypatch.setattr(DenseStage, "step", ruined)
    run = RunDir(tmp_path / "inf")
    with pytest.raises(Diverged, match="at step 14") as caught:
        prune(config, run)
    assert "latest.pt (step 7)" in caught.value.message


def test_a_full_disk_leaves_no_part_of_a_file(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cofi_cli.training.stages import checkpoint

    def full(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    run = RunDir(tmp_path / "full")
    with pytest.raises(CofiError, match="No space left") as caught:
        prune(config, run)
    assert caught.value.exit_code == 6
    assert [p.name for p in run.root.rglob("*") if "tmp" in p.name or p.suffix == ".pt"] == []


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    runs.write_atomic(folder, lambda p: (p.mkdir(), (p / "a").write_text("1"))[0])

    def broken(path: Path) -> None:
        path.mkdir()
        (path / "a").write_text("2")
        raise OSError(errno.EIO, "broken")

    with pytest.raises(CofiError):
        runs.write_atomic(folder, broken)
    assert (folder / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "distill",
    [
        {"matching": "ordered"},
        {"matching": "fixed"},
        {"matching": "none"},
        {"matching": "none", "prediction_weight": 0.0, "label_weight": 1.0},
    ],
    ids=["ordered", "fixed", "prediction only", "labels only"],
)
def test_other_distillations_run(
    distill: dict[str, object], bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    config = quick_config(bert_folder, reviews, distill=distill)
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.missed is None


def test_only_chosen_groups_lose_units(bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    config = quick_config(bert_folder, reviews, prune={"gates": ["ffn_dim"], "sparsity": 0.3})
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.missed is None and report.sparsity.realised == pytest.approx(0.3, abs=0.01)
    assert report.structure.heads == [SHAPE.n_heads] * SHAPE.n_layers
    assert report.structure.hidden == SHAPE.hidden


def test_the_reference_recipe_runs_and_says_when_it_misses(
    bert_folder: Path, reviews: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pure ascent with a slow gate rate cannot close enough gates in so few steps."""
    config = quick_config(
        bert_folder,
        reviews,
        prune={
            "sparsity": 0.9,
            "constraint": "lagrangian",
            "eval_gates": "soft",
            "best": "reference",
            "gate_init": "reference",
            "gate_learning_rate": 0.01,
        },
        distill={"mask_padding": False},
    )
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.sparsity.realised < 0.9
    assert "missed" in report.missed and "points below 0.9" in report.missed
    assert "Open gates cannot close in the 48 steps after the dense epochs" in caplog.text


def test_given_teacher_is_used(
    finished: RunDir, bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    config = quick_config(bert_folder, reviews, teacher={"path": str(finished.teacher)})
    report = prune(config, RunDir(tmp_path / "run"))
    assert "teacher" not in report.stages
    assert report.teacher.score == RunReport.read(finished.report_json).teacher.score


def test_finetune_dense_and_compact(
    finished: RunDir, bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    dense = RunDir(tmp_path / "dense")
    report = finetune(quick_config(bert_folder, reviews), dense)
    assert report.model.score > 80
    BertForSequenceClassification.from_pretrained(dense.model)
    for name, teacher in (("labels", None), ("distilled", str(finished.teacher))):
        compacted = RunDir(tmp_path / name)
        config = quick_config(finished.model, reviews, teacher={"path": teacher})
        report = finetune(config, compacted)
        assert report.before["accuracy"] == RunReport.read(finished.report_json).model.score
        again = AutoModelForSequenceClassification.from_pretrained(compacted.model)
        assert again.config.layer_ffn == RunReport.read(finished.report_json).structure.ffn


def test_a_regression_learns_from_its_teacher(bert_folder: Path, tmp_path: Path) -> None:
    """STS-B's form: one logit, which a divergence over classes would leave without signal."""
    data = tmp_path / "stsb"
    data.mkdir()
    rng = random.Random(1)
    for name, count in (("train", 128), ("dev", 64)):
        lines = ["sentence1\tsentence2\tscore"]
        for _ in range(count):
            score = rng.randint(0, 5)
            words = ["good"] * score + ["bad"] * (5 - score)
            rng.shuffle(words)
            lines.append(f"{' '.join(words)}\tthe film\t{score:.1f}")
        (data / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = quick_config(bert_folder, data)
    config = config.model_copy(
        update={"task": config.task.model_copy(update={"name": "stsb", "data": str(data)})}
    )
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.metric == "pearson"
    assert report.teacher.score > 70 and report.model.score > 50


def test_dry_run_counts_and_writes_nothing(config: RunConfig, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    plan = dry_run(config)
    assert plan["prunable_weights"] == SHAPE.prunable
    assert plan["stages"][1]["name"] == "prune" and plan["stages"][1]["steps"] == 64
    assert list(tmp_path.iterdir()) == []


def test_unreachable_sparsity_states_the_range(bert_folder: Path, reviews: Path) -> None:
    config = quick_config(bert_folder, reviews, prune={"sparsity": 0.9999})
    with pytest.raises(
        CofiError, match=r"0\.9999 cannot be reached.*the reachable range is 0 to 0\.9"
    ):
        dry_run(config)


def test_a_compact_model_is_not_pruned_again(finished: RunDir, reviews: Path) -> None:
    with pytest.raises(CofiError, match="is a compact model") as caught:
        dry_run(quick_config(finished.model, reviews))
    assert "cofi finetune" in (caught.value.hint or "")


def test_one_command_at_a_time_works_in_a_folder(
    finished: RunDir, config: RunConfig, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    with claim(run):
        for resume in (False, True):
            with pytest.raises(CofiError, match="is in use: another cofi command works in it"):
                prune(config, run, resume=resume)
    assert not run.root.exists(), "nothing was put there"
    with claim(finished), pytest.raises(CofiError, match="is in use"):
        prune(config, finished, resume=True)
    prune(config, finished, resume=True)
    with claim(finished):
        assert finished.lock.exists()


def test_a_killed_commands_folder_is_free(config: RunConfig, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    code = (
        "import sys, time; from pathlib import Path; from cofi_cli.runs import RunDir\n"
        "from cofi_cli.runs.claim import claim\n"
        "with claim(RunDir(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(run.root)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with pytest.raises(CofiError, match="is in use"):
        prune(config, run)
    child.kill()
    child.wait()
    with claim(run):
        assert run.lock.exists()


def test_a_folder_of_something_else_is_left_as_it_is(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a")
    with pytest.raises(CofiError, match="holds something that is not a run"):
        prune(config, RunDir(tmp_path))
    with pytest.raises(CofiError, match=r"rows\.csv is a file; a run needs a folder"):
        prune(config, RunDir(tmp_path / "rows.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_paths_of_another_place_are_not_looked_for_on_the_hub(
    config: RunConfig, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bert_folder.parent)
    own = config.model_copy(update={"model": bert_folder.name})
    run = RunDir(tmp_path / "run")
    with pytest.raises(Interrupted):
        prune(own, run, progress=StopAt("teacher", 3))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(CofiError) as caught:
        prune(own, run, resume=True)
    assert f"'{bert_folder.name}' is a path in {bert_folder.parent}" in caught.value.message
    assert f"cd {bert_folder.parent}" in (caught.value.hint or "")
    monkeypatch.chdir(bert_folder.parent)
    prune(own, run, resume=True)


def test_a_dry_run_looks_at_the_run_that_would_go_on(finished: RunDir, config: RunConfig) -> None:
    dry_run(config, finished, resume=True)
    with pytest.raises(CofiError, match="already holds a run"):
        dry_run(config, finished)
    with pytest.raises(CofiError, match="was started with another configuration"):
        dry_run(config.model_copy(update={"seed": 58}), finished, resume=True)
