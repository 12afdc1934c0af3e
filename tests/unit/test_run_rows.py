"""The rows of a run are read again for its scores; where they are others now, that is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cofi_cli.runs import RunDir, write_text
from cofi_cli.runtime.recorded_task import load_run_task
from tests.records import environment
from tests.tiny import quick_config, save_reviews


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run whose data is named by a path that counts from the folder it was started in."""
    save_reviews(tmp_path / "here" / "data", rows=16)
    save_reviews(tmp_path / "there" / "data", rows=16)
    run = RunDir(tmp_path / "here" / "runs" / "mine")
    config = quick_config(Path("m"), Path("data")).model_dump(mode="json")
    write_text(run.config, yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path / "here")
    task = load_run_task(run)
    assert task is not None
    environment(data=task.fingerprint).write(run.env)
    return run


def test_rows_that_changed_are_told(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(run.root.parents[1].parent / "there")
    assert load_run_task(run) is not None
    assert caplog.text == "", "the same rows, wherever they lie"
    dev = Path("data") / "dev.tsv"
    dev.write_text("\n".join(dev.read_text().splitlines()[:-1]) + "\n", encoding="utf-8")
    assert load_run_task(run) is not None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"The rows of {run.root} changed since it was trained: validation." in caplog.text
    assert "the present rows" in caplog.text and "current folder" in caplog.text


def test_further_texts_are_not_scored_and_so_not_missed(
    run: RunDir, caplog: pytest.LogCaptureFixture
) -> None:
    task = load_run_task(run)
    assert task is not None
    environment(data={**task.fingerprint, "extra": "0" * 64}).write(run.env)
    assert load_run_task(run) is not None
    assert caplog.text == ""


def test_a_run_that_says_nothing_of_its_rows(run: RunDir, caplog: pytest.LogCaptureFixture) -> None:
    run.env.unlink()
    assert load_run_task(run) is not None
    assert caplog.text == ""
    run.env.write_text("{", encoding="utf-8")
    assert load_run_task(run) is not None
    assert "The task of the run is therefore unknown." in caplog.text
