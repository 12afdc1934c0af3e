"""Whether an exported file is good enough: its score, and on a GPU its answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.gpu_agreement import check_on_gpu
from cofi_cli.runs.records import GpuParity, ScoreRow
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.scoring import DevSet, NotANumber, score_model
from cofi_cli.tolerances import within

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task


class Verdict(NamedTuple):
    """What is known of a file.

    Attributes:
        score: in points; ``None`` where nothing is scored or it is no number.
        fault: why the file is not to be kept, as what follows its name; ``None`` if it is.
        on_gpu: how far it is from torch there, where that was seen.
    """

    score: ScoreRow | None
    fault: str | None
    on_gpu: GpuParity | None = None

    @property
    def points(self) -> float:
        """The score, below any where there is none."""
        return self.score.score if self.score else float("-inf")


class Judge:
    """Scores files, and compares them with torch where they will run.

    Args:
        models: file stem -> (checkpoint, model in eval mode).
        inputs: real inputs, by the same names.
        task: whose dev set files are scored on; ``None`` leaves scores out.
        tokenizer: the models'.
        conditions: names the provider, and the batch sizes that files are used at.
        notes: what could not be judged is added here.
        needs_provider: whether a provider that is not there is an error.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[str, CofiForTask]],
        inputs: Mapping[str, Rows],
        *,
        task: Task | None,
        tokenizer: Any,
        conditions: Conditions,
        notes: list[str],
        needs_provider: bool,
    ) -> None:
        self._models, self._inputs, self._task = models, inputs, task
        self._tokenizer, self._conditions, self._notes = tokenizer, conditions, notes
        self._provider = conditions.provider if needs_provider else None
        self._dev: DevSet | None = None

    def provider(self, file: Path) -> str:
        """Return the provider that files are scored on and compared on, tried on this file."""
        if self._provider is None:
            self._provider = self._conditions.provider
            try:
                self._open(file).close()
            except CofiError as error:
                if error.exit_code != ENVIRONMENT:
                    raise
                self._provider = "cpu"
                self._notes.append(f"Scored and compared on the processor: {error.message}")
        return self._provider

    def score(self, file: Path) -> ScoreRow | None:
        """Return a file's score; ``None`` where there is nothing to score on.

        Raises:
            NotANumber: it answers with what is none.
        """
        if self._task is None:
            return None
        self.provider(file)
        with self._open(file) as worker:
            model = Model(file.stem, file, inspect(file))
            sizes = self._conditions.batch
            self._dev = self._dev or DevSet.of(self._task, self._tokenizer, sizes=sizes)
            return score_model(worker, model, self._dev)

    def on_gpu(self, name: str, file: Path) -> GpuParity | None:
        """Return how far a model's file is from torch on the GPU, ``None`` without one.

        Raises:
            CofiError: too far (exit code 4).
        """
        if self.provider(file) != "cuda":
            return None
        model, rows = self._models[name][1], self._inputs[name]
        return check_on_gpu(model, file, rows, threads=self._conditions.threads)

    def verdict(
        self,
        name: str,
        file: Path,
        *,
        exact: ScoreRow | None,
        max_drop: float,
        part_drops: Mapping[str, float],
    ) -> Verdict:
        """Judge a file of a smaller precision.

        Args:
            name: of the model.
            file: its file.
            exact: the score that it is held against, ``None`` where nothing is scored.
            max_drop: points that it may lose.
            part_drops: the same of parts of the rows, by name.
        """
        try:
            score = self.score(file)
        except NotANumber:
            return Verdict(None, "answers with what is no number")
        if score is not None and exact is not None:
            fault = lost(exact, score, max_drop=max_drop, part_drops=part_drops)
            if fault is not None:
                return Verdict(score, fault)
        try:
            on_gpu = self.on_gpu(name, file)
        except CofiError as error:
            if error.exit_code != PARITY:
                raise
            return Verdict(score, f"is not the model ({error.message.rstrip('.')})")
        return Verdict(score, None, on_gpu)

    def _open(self, file: Path) -> WorkerClient:
        provider = self._provider or self._conditions.provider
        threads = self._conditions.threads
        return WorkerClient(file, name=file.stem, provider=provider, threads=threads)


def lost(
    exact: ScoreRow, score: ScoreRow, *, max_drop: float, part_drops: Mapping[str, float]
) -> str | None:
    """Say what of a score is lost beyond what is allowed, as what follows a file's name.

    A part of the rows that either has no score of counts as lost.
    """
    floor = exact.score - max_drop
    if not within(floor, score.score):
        return f"scores {score.score:.2f}, needed are {floor:.2f}"
    for part, allowed in part_drops.items():
        before, after = exact.parts.get(part), score.parts.get(part)
        if before is None or after is None:
            which = "the model" if before is None else "the file"
            return f"cannot be judged: {which} has no {part}, which is not defined on these rows"
        if not within(before.score - allowed, after.score):
            floor = before.score - allowed
            return f"has a {part} of {after.score:.2f}, needed are {floor:.2f}"
    return None
