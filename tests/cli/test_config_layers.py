"""Where settings come from: defaults < preset < file < --set and flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cofi_cli.config import RunConfig
from cofi_cli.errors import USAGE
from cofi_cli.runs import RunDir, write_text
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


def test_a_file_lies_over_the_preset_of_its_task(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, rows: dict[str, Any]
) -> None:
    own = {"model": str(bert_folder), "task": rows, "prune": {"ramp_epochs": 7}}
    file = write(tmp_path / "own.yaml", own)

    def asked(*flags: str) -> tuple[dict[str, Any], str]:
        done = cofi("prune", "--config", file, *flags, "--dry-run", "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)["config"], done.err

    found, said = asked()
    assert "Preset glue-small" in said
    assert (found["prune"]["epochs"], found["teacher"]["epochs"]) == (20, 5), "the preset's"
    assert found["prune"]["ramp_epochs"] == 7, "the file's"
    assert found["prune"]["gate_schedule"] == "settle", "the default"
    assert asked("--set", "prune.ramp_epochs=9")[0]["prune"]["ramp_epochs"] == 9
    named, said = asked("--preset", "tokens")
    assert "Preset" not in said and named["teacher"]["epochs"] == 8


def test_a_whole_configuration_stays_as_it_is(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, rows: dict[str, Any]
) -> None:
    config = RunConfig(model=str(bert_folder), task=rows, prune={"epochs": 9}, seed=3)
    whole = config.model_dump(mode="json")
    file = write(tmp_path / "config.yaml", whole)
    done = cofi("prune", "--config", file, "--dry-run", "--json")
    assert json.loads(done.out)["config"] == whole and "Preset" not in done.err
    named = cofi("prune", "--config", file, "--preset", "quick", "--dry-run", "--json")
    assert json.loads(named.out)["config"] == whole


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
def test_any_mark_separates_labels(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, mark: str
) -> None:
    cells = (f"rude{mark}toxic", f"toxic{mark}threat", f"rude{mark}threat")
    lines = "".join(f'good film,"{cell}"\n' for cell in cells)
    (tmp_path / "rows.csv").write_text("text,labels\n" + lines * 6, encoding="utf-8")
    files = ("--train", "rows.csv", "--validation", "rows.csv", "--kind", "multilabel")
    columns = ("--text", "text", "--label", "labels")
    flags = ("--set", f"task.separator={mark}", "--set", "task.max_length=24")
    done = cofi("prune", bert_folder, *files, *columns, *flags, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["labels"] == ["rude", "threat", "toxic"]
