"""Training progress: a live bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cofi_cli.cli.console import plain, stderr
from cofi_cli.format import clock

if TYPE_CHECKING:
    from cofi_cli.training.stages.progress import Progress as TrainingProgress

LINE_SECONDS = 10.0
"""Seconds between two lines where there is no terminal."""
_SMOOTHING = 0.1


class _Bar(Progress):
    """A bar with a line of figures below it."""

    figures = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the parts that are drawn at each refresh."""
        yield self.make_tasks_table(self.tasks)
        if self.figures:
            yield Text(self.figures, style="dim")


def figures(row: Mapping[str, Any], *, rate: float | None = None) -> str:
    """Return a step's numbers: epoch, loss terms, expected sparsity against target, speed."""
    parts = []
    if "epoch" in row:
        parts.append(f"epoch {row['epoch']:.1f}")
    if "loss" in row:
        terms = [
            f"{name} {row[key]:.3f}"
            for name, key in (
                ("prediction", "prediction_loss"),
                ("layers", "layer_loss"),
                ("constraint", "penalty"),
            )
            if key in row
        ]
        parts.append(f"loss {row['loss']:.3f}" + (f" ({', '.join(terms)})" if terms else ""))
    if "expected_speedup" in row:
        parts.append(f"speedup {row['expected_speedup']:.2f} of {row['target_speedup']:.2f}")
    elif "expected_sparsity" in row:
        parts.append(f"sparsity {row['expected_sparsity']:.3f} of {row['target_sparsity']:.3f}")
    if rate is not None:
        parts.append(f"{rate:.0f} examples/s")
    return " · ".join(parts)


def evaluation(row: Mapping[str, Any]) -> str:
    """Return the scores of a step that an evaluation followed; empty for other steps."""
    scores = [
        f"{key.removeprefix('validation_').replace('_', ' ')} {value:.2f}"
        for key, value in row.items()
        if key.startswith("validation_")
    ]
    if scores and "realised_sparsity" in row:
        scores.append(f"realised sparsity {row['realised_sparsity']:.4f}")
    return ", ".join(scores)


class _Watcher:
    """Base of all watchers: the current stage and its smoothed speed."""

    def __init__(self) -> None:
        self.name, self.total, self.done = "", 0, 0
        self.rate: float | None = None

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        self.name, self.total, self.done, self.rate = name, total_steps, initial, None

    def step(self, row: Mapping[str, Any]) -> None:
        self.done = int(row.get("step", self.done + 1))
        now = row.get("examples_per_second")
        if now is not None:
            self.rate = now if self.rate is None else self.rate + _SMOOTHING * (now - self.rate)


class BarProgress(_Watcher):
    """A live bar for terminals."""

    def __init__(self) -> None:
        super().__init__()
        columns: tuple[ProgressColumn, ...] = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.bar = _Bar(*columns, console=stderr(), transient=True)
        self.task: TaskID | None = None

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        """Begin a bar."""
        super().stage(name, total_steps, initial)
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.bar.figures = ""
        self.task = self.bar.add_task(name, total=total_steps, completed=initial)
        self.bar.start()

    def step(self, row: Mapping[str, Any]) -> None:
        """Move the bar; an evaluation leaves a line behind."""
        super().step(row)
        if self.task is None:
            return
        self.bar.figures = figures(row, rate=self.rate)
        self.bar.update(self.task, completed=self.done)
        if scores := evaluation(row):
            self.message(f"{self.name} {self.done}/{self.total}: {scores}")

    def message(self, text: str) -> None:
        """Leave a line above the bar."""
        self.bar.console.print(plain(text), markup=False)

    def close(self) -> None:
        """Take the bar away."""
        self.bar.stop()


class LineProgress(_Watcher):
    """Plain lines for logs.

    Args:
        write: takes a line.
        every: seconds between two lines.
    """

    def __init__(self, write: Callable[[str], None], *, every: float = LINE_SECONDS) -> None:
        super().__init__()
        self.write, self.every = write, every
        self.began = self.last = time.monotonic()
        self.first = 0

    def stage(self, name: str, total_steps: int, initial: int = 0) -> None:
        """Write that a stage begins."""
        super().stage(name, total_steps, initial)
        self.began = self.last = time.monotonic()
        self.first = initial
        resumed = f", resumed after {initial}" if initial else ""
        self.write(f"{name}: {total_steps} steps{resumed}")

    def step(self, row: Mapping[str, Any]) -> None:
        """Write the numbers when a line is due, and after every evaluation."""
        super().step(row)
        now = time.monotonic()
        scores = evaluation(row)
        if now - self.last < self.every and not scores:
            return
        self.last = now
        place = f"{self.name} {self.done}/{self.total}"
        parts = [figures(row, rate=self.rate)]
        if self.done > self.first:
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            parts.append(f"{clock(left)} left")
        if scores:
            parts.append(scores)
        self.write(f"{place}: {' · '.join(p for p in parts if p)}")

    def message(self, text: str) -> None:
        """Write a line."""
        self.write(text)

    def close(self) -> None:
        """Nothing is open."""


def make_progress(*, quiet: bool = False) -> TrainingProgress:
    """Return the watcher that suits stderr."""
    if quiet:
        from cofi_cli.training.stages.progress import Silent

        return Silent()
    console = stderr()
    if console.is_terminal and not console.is_dumb_terminal:
        return BarProgress()
    return LineProgress(lambda text: console.print(plain(text), markup=False, soft_wrap=True))
