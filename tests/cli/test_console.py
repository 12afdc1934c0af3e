"""What reaches the screen: all logs where they are wanted, and never an error of encoding."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cofi_cli.cli import console
from cofi_cli.cli.console import prepare
from cofi_cli.errors import CofiError
from tests.cli.conftest import Cofi

ROOT = Path(__file__).parents[2]
TABLE = """
from cofi_cli.cli import main as cli
from cofi_cli.cli.console import say, show_lines, show_tables
from cofi_cli.report.bars import structure_lines
from cofi_cli.format import Table
from cofi_cli.runs.records.run import Structure, Widths

def run(arguments):
    show_tables([Table("ONNX", ("file", "max |\u0394| against torch"), (("model.onnx", "1e-06"),))])
    of = Widths(heads=4, ffn=24, hidden=16)
    show_lines(structure_lines(Structure(heads=[3], ffn=[7], hidden=9, of=of)))
    say("max |\u0394|")
    return 0

cli.run = run
cli.main()
"""


@pytest.mark.parametrize(
    ("flags", "variable", "level"),
    [
        ((), "0", logging.INFO),
        (("--quiet",), "0", logging.WARNING),
        (("--debug",), "0", logging.DEBUG),
        (("--debug", "--quiet"), "0", logging.DEBUG),
        ((), "1", logging.DEBUG),
    ],
)
def test_debug_shows_all_logs(
    cofi: Cofi,
    monkeypatch: pytest.MonkeyPatch,
    quick_yaml: Path,
    flags: tuple[str, ...],
    variable: str,
    level: int,
) -> None:
    def work(*_: object, **__: object) -> None:
        logging.getLogger("cofi_cli.training").debug("a small thing")
        raise KeyboardInterrupt

    monkeypatch.setattr("cofi_cli.training.prune", work)
    monkeypatch.setenv("COFI_DEBUG", variable)
    result = cofi("prune", "--config", quick_yaml, *flags)
    assert logging.getLogger("cofi_cli").level == level
    assert ("a small thing" in result.err) == (level == logging.DEBUG)


def test_debug_leaves_the_libraries_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, is_set in (("1", False), ("0", True)):
        monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "x")
        monkeypatch.delenv("TRANSFORMERS_VERBOSITY")
        monkeypatch.setenv("COFI_DEBUG", variable)
        prepare()
        assert ("TRANSFORMERS_VERBOSITY" in os.environ) is is_set


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_an_encoding_lacks_does_not_end_a_command(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TABLE],
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"max |?| against torch" in done.stdout and b"model.onnx" in done.stdout
    assert b"max |?|" in done.stderr


def test_a_preset_is_printed_in_any_encoding() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cofi_cli", "presets", "embedding"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"2 - 2?cos for vectors" in done.stdout


def test_a_terminal_is_not_moved_by_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;title\x07\x1b[2J\u202e\x9b1m"
    console.show_error(CofiError(f"label {hostile}\nsecond", hint=hostile))
    console.say(hostile)
    console.show_lines([hostile])
    shown = "".join(capsys.readouterr())
    assert "title" in shown and "\nsecond" in shown
    assert not set(shown) & set("\x1b\x07\u202e\x9b")


def test_a_message_is_cut_at_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(CofiError("x" * 100_000 + " is unknown."))
    shown = capsys.readouterr().err
    assert len(shown) < 4000 and "left out" in shown and shown.rstrip().endswith("is unknown.")
