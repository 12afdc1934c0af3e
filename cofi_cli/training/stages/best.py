"""The best model of a stage, by the headline metric on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from cofi_cli.training.stages.checkpoint import load_state, save_state


class Best:
    """Keeps the best state on disk and its score in memory.

    Args:
        save: writes a state there.
    """

    def __init__(
        self, path: Path, *, save: Callable[[Path, dict[str, Any]], None] = save_state
    ) -> None:
        self.path, self._save = path, save
        self.score: float | None = None
        self.step = 0

    def offer(self, score: float, step: int, model: nn.Module, **extra: Any) -> bool:
        """Keep a state that beats the best so far; return whether it did."""
        if self.score is not None and score <= self.score:
            return False
        self.score, self.step = score, step
        tensors = {k: v.detach().cpu() for k, v in model.state_dict().items()}
        self._save(self.path, {"model": tensors, "score": score, "step": step, **extra})
        return True

    def load(self) -> dict[str, Any]:
        """Return what was kept: ``model``, ``score``, ``step`` and the extras."""
        return load_state(self.path)

    def state(self) -> dict[str, float | int | None]:
        """Return the resumable part."""
        return {"score": self.score, "step": self.step}

    def load_from(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.score, self.step = state["score"], state["step"]
