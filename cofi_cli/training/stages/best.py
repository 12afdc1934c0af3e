"""The model of a stage that is kept, by the headline metric on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from cofi_cli.tasks.metrics.jackknife import paired_error
from cofi_cli.training.stages.checkpoint import load_state, save_state


class Best:
    """Keeps a state on disk, and the best score and its step in memory.

    The state is the best one. With a tolerance it is the latest that is level with the best: the
    best of many evaluations has also been lucky with the rows, and later states have learned more.

    Args:
        save: writes a state there.
        tolerance: standard errors of the difference by which a level state may stay behind.
    """

    def __init__(
        self,
        path: Path,
        *,
        save: Callable[[Path, dict[str, Any]], None] = save_state,
        tolerance: float = 0.0,
    ) -> None:
        self.path, self._save, self.tolerance = path, save, tolerance
        self.score: float | None = None
        self.step = 0
        self._without: list[float] = []

    def offer(
        self,
        score: float,
        step: int,
        model: nn.Module,
        *,
        without: Sequence[float] = (),
        **extra: Any,
    ) -> bool:
        """Keep a state that beats the best so far or is level with it; return whether it does.

        Args:
            score: in points.
            without: the scores without each group of rows, from :meth:`Task.scores_without`.
        """
        if self.score is None or score > self.score:
            self.score, self.step, self._without = score, step, [*without]
        elif not self._is_level(score, without):
            return False
        tensors = {k: v.detach().cpu() for k, v in model.state_dict().items()}
        self._save(self.path, {"model": tensors, "score": score, "step": step, **extra})
        return True

    def _is_level(self, score: float, without: Sequence[float]) -> bool:
        error = paired_error(self._without, without)
        if not self.tolerance or error is None or self.score is None:
            return False
        return self.score - score <= self.tolerance * error

    def load(self) -> dict[str, Any]:
        """Return what was kept: ``model``, ``score``, ``step`` and the extras."""
        return load_state(self.path)

    def state(self) -> dict[str, Any]:
        """Return the resumable part."""
        return {"score": self.score, "step": self.step, "without": self._without}

    def load_from(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.score, self.step = state["score"], state["step"]
        self._without = [*state.get("without", ())]
