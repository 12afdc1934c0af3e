"""Two processes prune as one does: the same structure, the same steps but for rounding."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cofi_cli.config import RunConfig
from cofi_cli.errors import ENVIRONMENT, INTERRUPTED, CofiError
from cofi_cli.runs import RunDir, read_json
from cofi_cli.runs.records import RunReport
from cofi_cli.training import finetune, prune
from tests.processes import run_together
from tests.stopping import StopAt, differing_weights, weights
from tests.tiny import bert_config, quick_config, save_bert, save_reviews

ROWS = 33
"""Four batches of 8 and one of a single row, which two processes cannot share."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    root = tmp_path_factory.mktemp("two")
    model = save_bert(root / "bert")
    # Each process draws its own dropout: without any, only the order of sums differs.
    still = bert_config(num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    still.architectures = ["BertForSequenceClassification"]
    still.save_pretrained(model)
    short = {"epochs": 2, "dense_epochs": 0, "ramp_epochs": 1, "learning_rate": 1e-3}
    return quick_config(
        model,
        save_reviews(root / "data", rows=ROWS),
        teacher={"epochs": 1, "learning_rate": 1e-3},
        prune=short,
        recover={"epochs": 1, "learning_rate": 1e-3},
        train={"keep_checkpoints": True},
    )


@pytest.fixture(scope="module")
def alone(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("alone") / "run")
    prune(config, run)
    return run


def _steps(run: RunDir) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if k not in ("stage", "examples_per_second")} for row in rows
    ]


def _assert_alike(one: RunDir, other: RunDir) -> None:
    """The same steps, scores and structure; weights but for rounding."""
    for ours, theirs in zip(_steps(one), _steps(other), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4)
    assert read_json(one.plan) == read_json(other.plan)
    left, right = weights(one), weights(other)
    for name in differing_weights(one, other):
        assert left[name] == pytest.approx(right[name], abs=5e-3), name


def test_two_processes_give_what_one_gives(
    config: RunConfig, alone: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    answers = run_together(lambda: prune(config, run))
    assert answers[0] == RunReport.read(run.report_json)
    _assert_alike(alone, run)
    assert not list(run.checkpoints.glob("teacher_outputs*")), "the file had lost its name"
    assert read_json(run.env)["processes"] == 2


def test_a_run_goes_on_in_another_number_of_processes(
    config: RunConfig, alone: RunDir, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    stopped = run_together(lambda: prune(config, run, progress=StopAt("prune", 4)))
    assert [answer.exit_code for answer in stopped] == [INTERRUPTED, INTERRUPTED]
    prune(config, run, resume=True)
    _assert_alike(alone, run)
    assert read_json(run.env)["resumed"] == [{"processes": 1}]


def test_a_process_that_dies_ends_the_others(config: RunConfig, tmp_path: Path) -> None:
    class Dies(StopAt):
        def stop(self) -> None:
            os._exit(9)

    run = RunDir(tmp_path / "run")
    dead, other = run_together(lambda: prune(config, run, progress=Dies("teacher", 3)))
    assert dead is None
    assert isinstance(other, CofiError) and other.exit_code == ENVIRONMENT
    assert "Another process of this run has ended" in other.message


def test_two_processes_finetune(config: RunConfig, tmp_path: Path) -> None:
    runs = [RunDir(tmp_path / name) for name in ("one", "two")]
    finetune(config, runs[0])
    run_together(lambda: finetune(config, runs[1]))
    for ours, theirs in zip(*map(_steps, runs), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4)
