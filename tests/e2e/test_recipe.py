"""What a run may be asked for beyond its labelled rows: a time, more texts, a yardstick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport
from cofi_cli.training import Interrupted, evaluation, finetune, prune
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.recover import RecoverStage
from tests.stopping import StopAt, assert_same_weights
from tests.tiny import quick_config


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("extra") / "more.txt"
    file.write_text("the film is good\na plot was bad and dull\n" * 10, encoding="utf-8")
    return file


def configured(bert_folder: Path, reviews: Path, extra: Path, **train: object) -> RunConfig:
    config = quick_config(bert_folder, reviews, distill={"augment": 1}, train=train)
    return config.model_copy(update={"task": config.task.model_copy(update={"extra": str(extra)})})


@pytest.fixture(scope="module")
def whole(
    bert_folder: Path, reviews: Path, extra: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("recipe") / "run")
    prune(configured(bert_folder, reviews, extra, baseline=True), run)
    return run


def test_the_report_states_both_yardsticks(whole: RunDir) -> None:
    report = RunReport.read(whole.report_json)
    assert report.constant.score == pytest.approx(50.0)
    words = report.baseline
    assert words.score == words.scores["validation"]["accuracy"] > 80, "words decide it"
    assert (report.advice is None) == (report.teacher.score - report.model.score < 1)
    assert report.not_learned is None or "Nothing was learned" in report.not_learned


def test_a_compact_model_is_trained_further_on_extra_texts(
    whole: RunDir, bert_folder: Path, reviews: Path, extra: Path, tmp_path: Path
) -> None:
    config = configured(bert_folder, reviews, extra)
    recover = config.recover.model_copy(update={"epochs": 0.5})
    config = config.model_copy(update={"model": str(whole.model), "recover": recover})
    with pytest.raises(CofiError, match="no teacher to answer"):
        finetune(config, RunDir(tmp_path / "none"))
    teacher = config.teacher.model_copy(update={"path": str(whole.teacher)})
    runs = [RunDir(tmp_path / name) for name in ("with", "without")]
    for run, own in zip(runs, (config.task, config.task.model_copy(update={"extra": None}))):
        finetune(config.model_copy(update={"teacher": teacher, "task": own}), run)
    losses = [json.loads(run.metrics.read_text().splitlines()[0])["loss"] for run in runs]
    assert losses[0] != losses[1], "other rows"


def test_made_and_extra_rows_are_the_same_after_an_interruption(
    whole: RunDir, bert_folder: Path, reviews: Path, extra: Path, tmp_path: Path
) -> None:
    config, run = configured(bert_folder, reviews, extra, baseline=True), RunDir(tmp_path / "run")
    with pytest.raises(Interrupted):
        prune(config, run, progress=StopAt("prune", 30))
    prune(config, run, resume=True)
    assert_same_weights(whole, run)


def test_a_time_decides_the_steps_once(bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    config, run = quick_config(bert_folder, reviews, train={"minutes": 0.1}), RunDir(tmp_path / "r")
    with pytest.raises(Interrupted):
        prune(config, run, progress=StopAt("prune", 3))
    watcher = Counting()
    report = prune(config, run, resume=True, progress=watcher)
    asked = {name: report.stages[name].steps for name in ("prune", "recover")}
    assert watcher.totals["prune"] == asked["prune"], "as settled before the interruption"
    assert asked["prune"] != 64, "not the configured epochs"


class Counting(StopAt):
    """Notes the steps of each stage."""

    def __init__(self) -> None:
        super().__init__("none", 0)
        self.totals: dict[str, int] = {}

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        super().stage(name, total_steps, initial)
        self.totals[name] = total_steps


@pytest.mark.parametrize(("patience", "epochs"), [({"patience": 2}, 4), ({}, 6)])
def test_recovery_ends_early_only_if_asked_to(
    bert_folder: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: dict[str, int],
    epochs: int,
) -> None:
    scores = iter([80.0, 90.0, 101.0, 98.0, 101.0, 97.0, 96.0, 95.0])  # an equal one is no better
    honest = RecoverStage.evaluate

    def evaluate(stage: RecoverStage, step: int) -> dict[str, float] | None:
        with pytest.MonkeyPatch.context() as patch:
            found = {"accuracy": next(scores)}
            patch.setattr("cofi_cli.training.stages.plain.evaluate", lambda *_, **__: found)
            return honest(stage, step)

    monkeypatch.setattr(RecoverStage, "evaluate", evaluate)
    config = quick_config(bert_folder, reviews, recover={"epochs": 6, "tolerance": 0, **patience})
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.stages["recover"].steps == epochs * 16, "two epochs after the best, or all"


@pytest.mark.parametrize("tolerance", [0.0, 1000.0])
def test_the_latest_level_model_is_kept(
    tolerance: float, bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    """Of a thousand errors all are level, so that the last one is kept."""
    recover = {"epochs": 2.0, "tolerance": tolerance}
    config = quick_config(bert_folder, reviews, recover=recover, train={"keep_checkpoints": True})
    run = RunDir(tmp_path / "run")
    prune(config, run)
    kept = load_state(run.checkpoints / "recover" / "best.pt")
    rows = [json.loads(line) for line in run.metrics.read_text("utf-8").splitlines()]
    scores = {
        row["step"]: row["validation_accuracy"]
        for row in rows
        if row["stage"] == "recover" and "validation_accuracy" in row
    }
    before = RunReport.read(run.report_json).before_recovery
    assert before is not None
    best = max({0: before.score, **scores}.items(), key=lambda own: (own[1], -own[0]))[0]
    assert kept["step"] == (max(scores) if tolerance else best)


def test_stages_score_in_their_own_precision_and_the_report_in_fp32(
    bert_folder: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, used = evaluation.predict, []

    def predict(*given: Any, **known: Any) -> Any:
        used.append(known["precision"])
        return honest(*given, **known)

    monkeypatch.setattr(evaluation, "predict", predict)
    config = quick_config(bert_folder, reviews, train={"precision": "bf16"})
    stages = prune(config, RunDir(tmp_path / "run")).stages
    assert {"teacher", "prune", "recover"} <= set(stages)
    assert used[0] == "bf16" and used[-1] == "fp32"
    assert used.count("bf16") >= 3 and used.count("fp32") >= 2, "the teacher and the model"
