"""The command line inside the test's process, in an empty folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cofi_cli.cli.main import run
from tests import network
from tests.tiny import quick_config


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str


Cofi = Callable[..., Result]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Give back the log and the warnings, which a command takes for itself."""
    logger = logging.getLogger("cofi_cli")
    before = logger.handlers, logger.propagate, logger.level
    with warnings.catch_warnings():
        yield
    logger.handlers, logger.propagate, logger.level = before


@pytest.fixture
def cofi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Cofi:
    """Run ``cofi ARGUMENTS`` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COFI_DEBUG", raising=False)

    def command(*arguments: object) -> Result:
        capfd.readouterr()
        code = run([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return command


@pytest.fixture(scope="session")
def quick_yaml(bert_folder: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file of a whole run that takes seconds."""
    path = tmp_path_factory.mktemp("config") / "quick.yaml"
    config = quick_config(bert_folder, reviews)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    return path


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what was asked of the network, which is denied from now on."""
    notes, hooks = tmp_path / "requests.txt", tmp_path / "hooks"
    hooks.mkdir()
    shutil.copy(network.__file__, hooks / "sitecustomize.py")
    monkeypatch.setenv("PYTHONPATH", str(hooks), prepend=":")
    monkeypatch.setenv(network.NOTES, str(notes))
    notes.touch()
    return notes
