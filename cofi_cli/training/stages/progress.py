"""Watchers of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """A watcher; the console has one, the library's default is silent."""

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        """Begin a stage of ``total_steps``, of which ``initial`` are done."""

    def step(self, row: Mapping[str, Any]) -> None:
        """Take the row of ``metrics.jsonl`` of one step."""

    def message(self, text: str) -> None:
        """Take a line for the user."""

    def close(self) -> None:
        """End."""


class Silent:
    """Watches nothing."""

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        """Ignore."""

    def step(self, row: Mapping[str, Any]) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def close(self) -> None:
        """Ignore."""
