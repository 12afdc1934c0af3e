"""Help, version and lists: cheap, complete, and on stdout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import get_args

import pytest
import typer

from cofi_cli import __version__
from cofi_cli.cli.flags import given
from cofi_cli.cli.main import app
from cofi_cli.config import KIND_NAMES, BenchConfig, ExportConfig, RunConfig, Section
from cofi_cli.config.export import MAX_DROP, OPSETS, GraphName, Precision
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.presets import preset_names, preset_text
from tests.cli.conftest import Cofi

COMMANDS = ["prune", "pick", "finetune", "export", "bench", "presets"]
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


def help_of(command: str, *names: str) -> str:
    """Return the metavar and the help of an option or argument."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    (found,) = [p for p in commands[command].params if {*names} & {*p.opts, *p.secondary_opts}]
    return f"{found.metavar or ''} {getattr(found, 'help', None) or ''}".strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    assert [p.name for p in parameters if not getattr(p, "help", None)] == []


def test_fixed_choices_are_shown() -> None:
    train = RunConfig.model_fields["train"].annotation
    assert help_of("prune", "--train-precision").startswith(
        "|".join(get_args(train.model_fields["precision"].annotation))  # type: ignore[union-attr]
    )
    words = re.findall(r"[\w-]+", help_of("prune", "--kind"))
    assert [kind for kind in KIND_NAMES if kind not in words] == []
    assert ", ".join(preset_names()) in help_of("prune", "--preset")
    assert help_of("export", "--precision").startswith("|".join(get_args(Precision)))
    words = re.findall(r"[\w-]+", help_of("export", "--graph"))
    assert [form for form in FORMS if form not in words] == []
    assert get_args(GraphName) == ("auto", *FORMS)
    assert f"Default: {MAX_DROP:g}," in help_of("export", "--max-drop")
    assert help_of("export", "--opset").startswith(f"{OPSETS.start}..{OPSETS.stop - 1} ")
    for command in ("export", "bench"):
        assert help_of(command, "--provider").startswith("cpu|cuda ")


@pytest.mark.parametrize(
    ("command", "name", "key"),
    [
        ("prune", "--seed", "seed"),
        ("prune", "--teacher-cache-gb", "prune.teacher_cache_gb"),
        ("prune", "--sparsity", "prune.sparsity"),
    ],
)
def test_a_default_in_a_help_text_is_the_default(command: str, name: str, key: str) -> None:
    value: object = RunConfig(model="m")
    for part in key.split("."):
        value = getattr(value, part)
    assert re.search(rf"Default: .*\b{value:g}\b", help_of(command, name))


@pytest.mark.parametrize(
    ("command", "kind", "extra"),
    [
        ("export", ExportConfig, {"source", "onnx", "output", "all_sizes", "as_json", "quiet"}),
        ("bench", BenchConfig, {"targets", "output", "ci_dir", "as_json", "quiet"}),
    ],
)
def test_flags_have_the_defaults_of_the_configuration(
    command: str, kind: type[Section], extra: set[str]
) -> None:
    known = {p.name: p for p in typer.main.get_command(app).commands[command].params}  # type: ignore[attr-defined]
    of_a_table = {"table", "precision"} if command == "bench" else set()
    assert set(known) - extra - of_a_table == set(kind.model_fields)
    made = given(kind, {name: known[name].default for name in kind.model_fields})
    assert made == kind()


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
