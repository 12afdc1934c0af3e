"""Offline nothing is looked up; test_chain.py denies the network to a chain on local files."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from cofi_cli.errors import UNREACHABLE
from tests.cli.conftest import Cofi


def test_the_network_is_denied_here_and_in_children(requests: Path) -> None:
    with pytest.raises(PermissionError):
        socket.create_connection(("192.0.2.1", 9))
    ask = "import socket; socket.getaddrinfo('example.org', 80)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert "the network is denied" in done.stderr
    assert len(requests.read_text().splitlines()) == 2


def test_offline_nothing_is_looked_up(
    cofi: Cofi, reviews: Path, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = cofi("prune", "someone/some-bert", "--task", "sst2", "--data", reviews)
    assert result.code == UNREACHABLE and "someone/some-bert" in result.err
    result = cofi("prune", "someone/some-bert", "--task", "sst2")
    assert result.code == UNREACHABLE
    assert requests.read_text() == ""
