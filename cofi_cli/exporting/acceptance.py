"""Whether an exported file is good enough: its score, and on a GPU its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from cofi_cli.architectures import load_tokenizer
from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.choice import CHOSEN, Wish
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import check_on_gpu
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import GpuParity, ScoreRow
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.scoring import DevSet, NotANumber, score_model
from cofi_cli.tasks import Task
from cofi_cli.tolerances import within


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
        wish: names the provider, the batch sizes that files are used at, and what may be lost.
        notes: what could not be judged is added here.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[str, CofiForTask]],
        inputs: Mapping[str, Rows],
        *,
        task: Task | None,
        tokenizer: Any,
        wish: Wish,
        notes: list[str],
    ) -> None:
        self._models, self._inputs, self._task = models, inputs, task
        self._tokenizer, self._wish, self._notes = tokenizer, wish, notes
        self._conditions = wish.conditions
        # Where forms are timed the provider has to be there; one asked for by name needs none.
        is_needed = wish.graph == "auto" or self._conditions.provider == "cpu"
        self._provider = self._conditions.provider if is_needed else None
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

    def verdict(self, file: Path, exact: ScoreRow | None) -> Verdict:
        """Judge a file of the model in a smaller precision.

        Args:
            file: of ``CHOSEN``.
            exact: the score that it is held against, ``None`` where nothing is scored.
        """
        try:
            score = self.score(file)
        except NotANumber:
            return Verdict(None, "answers with what is no number")
        if score is not None and exact is not None:
            max_drop, part_drops = self._wish.max_drop, self._wish.part_drops
            fault = lost(exact, score, max_drop=max_drop, part_drops=part_drops)
            if fault is not None:
                return Verdict(score, fault)
        try:
            on_gpu = self.on_gpu(CHOSEN, file)
        except CofiError as error:
            if error.exit_code != PARITY:
                raise
            return Verdict(score, f"is not the model ({error.message.rstrip('.')})")
        return Verdict(score, None, on_gpu)

    def _open(self, file: Path) -> WorkerClient:
        provider = self._provider or self._conditions.provider
        threads = self._conditions.threads
        return WorkerClient(file, name=file.stem, provider=provider, threads=threads)


def score_of(
    place: str,
    *,
    task: Task,
    wish: Wish,
    change: Callable[[CofiForTask], None] = lambda model: None,
) -> ScoreRow | None:
    """Return the score of a checkpoint as an fp32 graph.

    Args:
        place: of the checkpoint, with its tokenizer.
        task: that it is scored on.
        wish: of the export.
        change: made to the model before, in place.
    """
    model, tokenizer = load_model(place), load_tokenizer(place)
    change(model)
    on_cpu = replace(wish, conditions=replace(wish.conditions, provider="cpu"))
    with TemporaryDirectory(prefix="cofi-score-") as folder:
        file = Path(folder, f"{CHOSEN}.onnx")
        write_onnx(model, file, opset=18)
        return Judge({}, {}, task=task, tokenizer=tokenizer, wish=on_cpu, notes=[]).score(file)


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
