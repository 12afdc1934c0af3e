"""Help, version and lists: cheap, complete, and on stdout."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cofi_cli import __version__
from cofi_cli.cli.main import app
from cofi_cli.presets import preset_names, preset_text
from tests.cli.conftest import Cofi

COMMANDS = ["prune", "finetune", "export", "bench", "presets"]
HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "datasets", "sklearn", "accelerate")
CHILD = f"""
import sys
from cofi_cli.cli.main import run
code = run(sys.argv[1:])
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules])
sys.exit(code)
"""


def test_help_names_every_command(cofi: Cofi) -> None:
    result = cofi("--help")
    assert result.code == 0
    assert [c for c in COMMANDS if c not in result.out] == []
    assert len(app.registered_commands) == len(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(cofi: Cofi, command: str) -> None:
    result = cofi(command, "--help")
    assert result.code == 0
    assert "Usage: cofi" in result.out and result.err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["prune", "--help"], ["presets"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    child = [sys.executable, "-c", CHILD, *arguments]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_version(cofi: Cofi) -> None:
    assert cofi("--version").out == f"cofi {__version__}\n"


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "cofi_cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"cofi {__version__}\n"


def test_presets_are_listed_with_what_they_are_for(cofi: Cofi) -> None:
    lines = cofi("presets").out.splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(len(line.split()) > 5 for line in lines)


def test_a_preset_is_printed_with_its_comments(cofi: Cofi) -> None:
    assert cofi("presets", "quick").out == preset_text("quick")


def test_tasks_are_listed_with_their_preset(cofi: Cofi) -> None:
    tasks = json.loads(cofi("presets", "--tasks", "--json").out)
    assert tasks["mrpc"] == "glue-small" and tasks["qnli"] == "glue-large"
    assert tasks["stsb-embedding"] == "embedding"
    assert tasks["demo"] == "demo" and tasks["squad"] == tasks["squad_v2"] == "squad"
