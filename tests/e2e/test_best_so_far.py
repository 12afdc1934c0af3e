"""A resumed recovery keeps the best model that it found before it was stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir
from cofi_cli.training import Interrupted, finetune, prune
from cofi_cli.training.stages.checkpoint import load_state
from cofi_cli.training.stages.recover import RecoverStage
from tests.stopping import (
    Crash,
    CrashAt,
    StopAt,
    assert_same_weights,
    differing_weights,
    weights,
)
from tests.tiny import quick_config

FIRST = 16
"""The step of the first of two evaluations."""
STOPS = [
    pytest.param(StopAt, FIRST, Interrupted, id="interrupted"),
    pytest.param(CrashAt, FIRST + 6, Crash, id="killed"),  # saved after step 21
]


@pytest.fixture(autouse=True)
def only_the_first_improves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first evaluation the best of all, and the last one the worst."""

    def evaluate(stage: RecoverStage, step: int) -> dict[str, float]:
        score = 101.0 if step == FIRST else 0.0
        stage.best.offer(score, step, stage.model)
        return {"validation_accuracy": score}

    monkeypatch.setattr(RecoverStage, "evaluate", evaluate)


@pytest.fixture(scope="module")
def config(bert_folder: Path, reviews: Path) -> RunConfig:
    return quick_config(bert_folder, reviews)


@pytest.fixture(scope="module")
def unrecovered(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run that was stopped as its recovery began."""
    run = RunDir(tmp_path_factory.mktemp("begun") / "run")
    with pytest.raises(Crash):
        prune(config, run, progress=CrashAt("recover", 1))
    assert not (run.checkpoints / "recover" / "latest.pt").exists()
    return run


def copy(run: RunDir, folder: Path) -> RunDir:
    shutil.copytree(run.root, folder)
    return RunDir(folder)


@pytest.mark.parametrize(("how", "step", "error"), STOPS)
def test_of_a_pruned_model(
    how: type[StopAt],
    step: int,
    error: type[Exception],
    config: RunConfig,
    unrecovered: RunDir,
    tmp_path: Path,
) -> None:
    whole, stopped = (copy(unrecovered, tmp_path / name) for name in ("whole", "stopped"))
    prune(config, whole, resume=True)
    with pytest.raises(error):
        prune(config, stopped, resume=True, progress=how("recover", step))
    prune(config, stopped, resume=True)
    assert_same_weights(whole, stopped)
    (kept,) = (unrecovered.checkpoints / "pruned").glob("*.pt")
    before = load_state(kept)["compact"]
    now = weights(whole)
    assert any(not torch.equal(before[name], now[name]) for name in now), "it did recover"


@pytest.fixture(scope="module")
def pruned(
    config: RunConfig, unrecovered: RunDir, tmp_path_factory: pytest.TempPathFactory
) -> RunDir:
    run = copy(unrecovered, tmp_path_factory.mktemp("pruned") / "run")
    prune(config, run, resume=True)
    return run


@pytest.mark.parametrize(("how", "step", "error"), STOPS)
def test_of_a_distilled_finetune(
    how: type[StopAt],
    step: int,
    error: type[Exception],
    pruned: RunDir,
    reviews: Path,
    tmp_path: Path,
) -> None:
    config = quick_config(pruned.model, reviews, teacher={"path": str(pruned.teacher)})
    whole, stopped = RunDir(tmp_path / "whole"), RunDir(tmp_path / "stopped")
    finetune(config, whole)
    with pytest.raises(error):
        finetune(config, stopped, progress=how("finetune", step))
    finetune(config, stopped, resume=True)
    assert_same_weights(whole, stopped)
    assert differing_weights(whole, pruned), "what was kept is not the model that it began with"
    finetune(config, stopped, resume=True)
    assert_same_weights(whole, stopped)
