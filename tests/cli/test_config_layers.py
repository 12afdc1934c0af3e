"""Where settings come from: defaults < preset < file < --set and flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from cofi_cli.cli.given import build_config
from cofi_cli.config import RunConfig
from cofi_cli.errors import USAGE
from cofi_cli.runs import RunDir, write_text
from cofi_cli.tasks import load_task
from tests.cli.conftest import Cofi


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Any]:
    """The section task of some rows, so few that their preset is glue-small."""
    lines = "text,label\n" + "good film,up\nbad film,down\n" * 8
    (tmp_path / "rows.csv").write_text(lines, encoding="utf-8")
    return {"train": "rows.csv", "validation": "rows.csv", "max_length": 24}


def write(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def made(
    file: Path, *, preset: str | None = None, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], str]:
    """Return the configuration that a file makes, and what is said of it."""
    said: list[str] = []
    config = build_config({}, preset=preset, config=file, overrides=overrides, announce=said.append)
    return config.model_dump(mode="json"), " ".join(said)


def test_a_file_lies_over_the_preset_of_its_task(
    tmp_path: Path, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"model": "bert", "task": rows, "prune": {"ramp_epochs": 7}}
    file = write(tmp_path / "own.yaml", own)
    found, said = made(file)
    assert "Preset glue-small" in said
    assert (found["prune"]["epochs"], found["teacher"]["epochs"]) == (20, 5), "the preset's"
    assert found["prune"]["ramp_epochs"] == 7, "the file's"
    assert found["prune"]["gate_schedule"] == "settle", "the default"
    found, _ = made(file, overrides=["prune.ramp_epochs=9"])
    assert found["prune"]["ramp_epochs"] == 9
    named, said = made(file, preset="tokens")
    assert said == "" and named["teacher"]["epochs"] == 8


def test_a_whole_configuration_stays_as_it_is(tmp_path: Path, rows: dict[str, Any]) -> None:
    config = RunConfig(model="bert", task=rows, prune={"epochs": 9}, seed=3)
    whole = config.model_dump(mode="json")
    file = write(tmp_path / "config.yaml", whole)
    assert made(file) == (whole, "")
    assert made(file, preset="quick") == (whole, "")


def test_a_resumed_run_takes_no_preset(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, rows: dict[str, Any]
) -> None:
    config = RunConfig(model=str(bert_folder), task=rows)
    values = yaml.safe_dump(config.model_dump(mode="json", exclude={"recover"}))
    write_text(RunDir(tmp_path / "mine").config, values)
    done = cofi("prune", "--resume", "-o", "mine", "--sparsity", "0.5")
    assert done.code == USAGE and "Preset" not in done.err
    assert "prune.sparsity was 0.95, is 0.5" in done.err


@pytest.mark.parametrize("mark", [",", "|", ";", "#", "-", ":", "*", "&"])
def test_any_mark_separates_labels(tmp_path: Path, mark: str) -> None:
    cells = (f"rude{mark}toxic", f"toxic{mark}threat", f"rude{mark}threat")
    lines = "".join(f'good film,"{cell}"\n' for cell in cells)
    path = tmp_path / "rows.csv"
    path.write_text("text,labels\n" + lines * 6, encoding="utf-8")
    flags = {"train": str(path), "validation": str(path), "kind": "multilabel"}
    config = build_config(
        flags | {"model": "bert", "text": ["text"], "label": ["labels"]},
        preset=None,
        config=None,
        overrides=[f"task.separator={mark}"],
        announce=lambda _: None,
    )
    assert load_task(config.task).labels == ("rude", "threat", "toxic")
