"""Measures for pruning what onnxruntime takes: a latency table, and the speed of a plan's model."""

from __future__ import annotations

import copy
import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.benchmarking.latency_table import Report, request_table
from cofi_cli.benchmarking.task_batches import rows_as_batches
from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.exporting.build import Build
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.graphs.choice import Choice, Made, Wish
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.cost.measured import MeasuredSpeed
from cofi_cli.runs import machine
from cofi_cli.runs.records import DENSE
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import open_workers
from cofi_cli.runtime.disturbance import Watch, busy_note
from cofi_cli.runtime.inputs import synthetic_rows
from cofi_cli.runtime.timing import STEADY, Case, Inputs, Schedule, Turns, time_case
from cofi_cli.tolerances import EXPORT

if TYPE_CHECKING:
    from cofi_cli.config import CaseConfig
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)

SCHEDULE = Schedule(runs=40, rounds=10, max_seconds=10.0, min_seconds=STEADY)
SLOW, WIDE, REPEATS = 1.1, 0.05, 2
"""Times its fastest measurement that the dense model may take, share by which the ends of a
speedup's interval may be off, and how often both models are timed again beyond either: a machine is
slow then, and not for both models alike, or other work came and went."""
_MACHINE = ("cpu", "onnxruntime")
"""Facts of a table's environment that have to be those of this machine."""


class Stopwatch:
    """Measures on this machine.

    Args:
        report: turns a watcher of training into a callback for the progress of a table.
        graph: of the files that are timed; ``auto`` = the fastest for each model.
        is_watched: whether rounds that other work disturbs are made again.
    """

    def __init__(
        self,
        report: Callable[[Any], Report] = lambda _: lambda *_: None,
        *,
        graph: str = "auto",
        is_watched: bool = True,
    ) -> None:
        self._report, self._graph, self._is_watched = report, graph, is_watched
        self._folder = tempfile.TemporaryDirectory(prefix="cofi-dense-")
        self._dense: Made = {}
        self._choices: dict[str, Choice] = {}
        self._dense_of = ""
        self._fastest = math.inf

    def table(
        self, model: str, case: CaseConfig, task: Callable[[], Task], progress: Any
    ) -> LatencyTable:
        """Measure the latency table of a model in a case."""
        if note := busy_note():
            logger.warning("%s", note)
        rows = task() if case.seq_len == "task" else None
        return request_table(model, case, task=rows, report=self._report(progress))

    def time(
        self,
        model: CofiForTask,
        dense: CofiForTask,
        table: LatencyTable,
        task: Task,
        tokenizer: Any,
    ) -> MeasuredSpeed | None:
        """Time a compact model and its dense one in turn, in the files that an export would have.

        Returns:
            ``None``, and a warning, where the table is of another machine, the provider is not
            here, or other work is in the way.
        """
        if (why := _elsewhere(table)) is not None:
            logger.warning("%s The speed is what the table expects.", why)
            return None
        threads = table.threads or machine.default_threads()
        batches: Sequence[Mapping[str, Any]] = []
        if table.seq_len == "task":
            own = rows_as_batches(task, tokenizer, size=table.batch)
            batches, length = own.batches, math.ceil(own.mean_length)
        else:
            length = table.seq_len
        conditions = Conditions(table.provider, threads, (table.batch,), (length,))
        with tempfile.TemporaryDirectory() as folder:
            try:
                files = self._files(Path(folder), model, dense, table.precision, conditions)
                vocab = int(model.config.vocab_size)
                timed = self._steady(lambda: self._timed(files, table, threads, vocab, batches))
            except CofiError as error:
                if error.exit_code != ENVIRONMENT:
                    raise
                logger.warning("The speed is what the table expects: %s", error.message)
                return None
        if not timed:
            logger.warning(
                "The speed could not be measured, since other work disturbed it; it is what the "
                "table expects."
            )
            return None
        found = statistics.speedup(timed["dense"], timed["model"])
        return MeasuredSpeed(
            seconds=statistics.summarize(timed["model"]).p50,
            dense_seconds=_dense_seconds(timed),
            speedup=found.ratio,
            interval=found.interval,
        )

    def _files(
        self,
        folder: Path,
        model: CofiForTask,
        dense: CofiForTask,
        precision: str,
        conditions: Conditions,
    ) -> dict[str, Path]:
        """Write both models as an export does; return their files in the precision."""
        models = {"model": ("", _exportable(model)), "dense": ("", _exportable(dense))}
        wish = Wish(
            graph=self._graph,
            portable=False,
            conditions=conditions,
            max_drop=0.0,
            opset=18,
            tolerance=EXPORT,
        )
        rows = {
            name: synthetic_rows(vocab=own.config.vocab_size, longest=own.config.longest_input)
            for name, (_, own) in models.items()
        }
        self._forget_others(f"{conditions} {precision} {dense.config.to_json_string()}")
        build = Build(
            folder,
            models,
            rows=rows,
            task=None,
            calibration=None,
            tokenizer=None,
            wish=wish,
            known=self._dense,
            choices=self._choices,
        )
        build.fp32()
        self._keep(build.graphs.made)
        self._choices = {DENSE: build.choices[DENSE]}
        if precision != "fp32":
            {"int8": build.int8, "fp16": build.fp16}[precision]()
        suffix = "" if precision == "fp32" else f"_{precision}"
        return {name: build.folder / f"{name}{suffix}.onnx" for name in models}

    def _forget_others(self, dense: str) -> None:
        """Forget the graphs of another dense model; weights may differ, for they take no time."""
        if dense != self._dense_of:
            self._dense, self._choices = {}, {}
            self._dense_of, self._fastest = dense, math.inf

    def _keep(self, made: Made) -> None:
        """Keep the graphs of the dense model, which the next plan is timed beside as well."""
        for key, (file, proof) in made.items():
            if key[0] == DENSE and key not in self._dense:
                kept = Path(self._folder.name) / file.name
                shutil.copyfile(file, kept)
                self._dense[key] = kept, proof

    def _steady(self, measure: Callable[[], dict[str, Turns]]) -> dict[str, Turns]:
        """Return the steadiest measurement; on a busy machine none.

        It is one in which the dense model was not slow, and among these the one with the narrowest
        interval.
        """
        best: dict[str, Turns] = {}
        for _ in range(1 + REPEATS):
            if timed := measure():
                self._fastest = min(self._fastest, _dense_seconds(timed))
                best = min(best or timed, timed, key=self._excess)
            if not best or self._excess(best) == (1.0, 1.0):
                break
        return best

    def _excess(self, timed: dict[str, Turns]) -> tuple[float, float]:
        """Return how far the dense model is beyond SLOW, and the interval beyond WIDE; else 1."""
        slow = _dense_seconds(timed) / (SLOW * self._fastest)
        found = statistics.speedup(timed["dense"], timed["model"])
        wide = max(abs(end / found.ratio - 1) for end in found.interval) / WIDE
        return max(1.0, slow), max(1.0, wide)

    def _timed(
        self,
        files: Mapping[str, Path],
        table: LatencyTable,
        threads: int,
        vocab: int,
        batches: Sequence[Mapping[str, Any]],
    ) -> dict[str, Turns]:
        inputs = Inputs(dict.fromkeys(files, vocab), {table.batch: dict.fromkeys(files, batches)})
        with open_workers(files, provider=table.provider, threads=threads) as workers:
            watch = Watch([worker.pid for worker in workers], threads=threads)
            return time_case(
                workers,
                Case(table.batch, table.seq_len),
                SCHEDULE,
                inputs=inputs,
                watch=watch if self._is_watched else None,
            )


def _dense_seconds(timed: Mapping[str, Turns]) -> float:
    return statistics.summarize(timed["dense"]).p50


def _exportable(model: CofiForTask) -> CofiForTask:
    own = copy.deepcopy(model)
    own.to("cpu")
    own.config._attn_implementation = "eager"
    own.train(False)
    return own


def _elsewhere(table: LatencyTable) -> str | None:
    """Say that a table was measured on another machine than this one; ``None`` if it was here."""
    here = machine.describe_machine().model_dump() | machine.versions("onnxruntime")
    if table.provider == "cuda":
        here["cpu"] = table.environment.get("cpu")  # the GPU is what counts
    names = (*_MACHINE, "gpu") if table.provider == "cuda" else _MACHINE
    differs = [
        f"{name} {theirs}, not {here[name]}"
        for name in names
        if (theirs := table.environment.get(name)) != here[name]
    ]
    return f"The latency table is of another machine: {'; '.join(differs)}." if differs else None
