"""The files of one export: precisions made of the fastest graph, each scored and noted."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.deploy import candidates
from cofi_cli.deploy.bounds import within
from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.eight_bits import EightBits
from cofi_cli.deploy.fp16 import half, to_fp16
from cofi_cli.deploy.graph import inspect
from cofi_cli.deploy.graphs import CHOSEN, Choice, Graphs, Wish
from cofi_cli.deploy.parity_on_gpu import check_on_gpu
from cofi_cli.deploy.record import file_digest
from cofi_cli.deploy.samples import Rows
from cofi_cli.deploy.scoring import DevSet, NotANumber, score_model
from cofi_cli.deploy.source import weights_digest
from cofi_cli.deploy.targets import Model
from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task

Json = dict[str, Any]


class Build:
    """Writes files into a folder and keeps a row on each. Use as a context manager.

    Until the end candidates lie in a folder of their own inside ``folder``.

    Args:
        folder: exists; ``CHOSEN.onnx`` and the others go here.
        models: file stem -> (checkpoint, model in eval mode).
        rows: what parity is checked on.
        task: what files are scored on; ``None`` leaves scores out.
        calibration: text for static int8, ``None`` where there is none.
        tokenizer: the model's.
        wish: see :class:`~cofi_cli.deploy.graphs.Wish`.
    """

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, tuple[str, CofiForTask]],
        *,
        rows: Mapping[str, Rows],
        task: Task | None,
        calibration: Rows | None,
        tokenizer: Any,
        wish: Wish,
    ) -> None:
        self.folder, self.models, self.inputs = folder, models, rows
        self.tokenizer = tokenizer
        self.task, self.calibration, self.wish = task, calibration, wish
        self.rows: dict[str, Json] = {}
        self.notes: list[str] = []
        self._shop = folder / ".candidates"
        pads_right = getattr(tokenizer, "padding_side", "right") == "right"
        self._graphs = Graphs(self._shop, models, rows, wish, self.notes, pads_right=pads_right)
        self._pad_id = int(models[CHOSEN][1].config.pad_token_id or 0)
        self._dev: DevSet | None = None
        # Where forms are timed the provider has to be there; one asked for by name needs no GPU.
        is_needed = wish.graph == "auto" or wish.conditions.provider == "cpu"
        self._provider = wish.conditions.provider if is_needed else None

    def __enter__(self) -> Build:
        self._shop.mkdir()
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._shop)

    def fp32(self) -> None:
        """Write the fp32 files in the form that is fastest, or in the one asked for."""
        made, graphs = self._graphs.of_each_form(), self._graphs
        ranking = candidates.rank(made, self.wish.conditions) if len(made) > 1 else None
        fastest = ranking.fastest if ranking else list(made)
        choices, in_blocks = graphs.in_blocks({form: made[form] for form in fastest})
        form, block = self._first_proven(choices)[:2]
        for name in self.models:
            file, proof = graphs.proven(name, form, block)
            target = self.folder / f"{name}.onnx"
            shutil.copyfile(file, target)
            self._note(name, target, "fp32", form, proof, block=block)
        self._tried(CHOSEN, [*(ranking.rows if ranking else []), *in_blocks])

    def _first_proven(self, choices: list[Choice]) -> Choice:
        """Return the first choice that is the torch model for every model; the last has to be."""
        for choice in choices[:-1]:
            try:
                for name in self.models:
                    self._graphs.proven(name, choice.name, choice.block)
            except CofiError as error:
                if error.exit_code != PARITY:
                    raise
                left_out = f"Blocks of {choice.block} tokens are left out"
                self.notes.append(f"{left_out}: {error.message}")
            else:
                return choice
        return choices[-1]

    def int8(self) -> None:
        """Write the 8-bit files: the fastest recipe that keeps the score.

        Where none does, the most sensitive layers stay fp32, as many as it takes.

        Raises:
            CofiError: it takes all of them (exit code 4); nothing is written then.
        """
        eight_bits = EightBits(
            self._graphs,
            rows=self.inputs[CHOSEN],
            calibration=self.calibration,
            pad_id=self._pad_id,
            score=self._score if self.task is not None else None,
            floor=self._floor(),
            notes=self.notes,
        )
        kept = eight_bits.keep()
        for name in sorted(self.models, key=lambda name: name != CHOSEN):
            is_chosen, key = name == CHOSEN, f"{name}_int8"
            target = self.folder / f"{key}.onnx"
            if is_chosen:
                shutil.move(kept.file, target)
            else:
                eight_bits.alike(name, kept, target)
            score = kept.score if is_chosen else None
            self._note(key, target, "int8", kept.form, None, score, block=kept.block)
            layers = kept.fp32_layers if is_chosen else []
            self._tried(key, kept.candidates if is_chosen else [])
            self.rows[key] |= {"recipe": kept.recipe.name, "fp32_layers": layers}

    def fp16(self) -> None:
        """Write the half-precision files in the form that is fastest, or in the one asked for.

        Where the score needs it, layers stay fp32, as many as it takes.

        Raises:
            CofiError: it takes all of them (exit code 4); nothing is written then.
        """
        kept = half(
            self._graphs,
            score=self._score if self.task is not None else None,
            floor=self._floor(),
            rows=self.inputs[CHOSEN],
            pad_id=self._pad_id,
            provider=self._checked_on,
            notes=self.notes,
        )
        for name in sorted(self.models, key=lambda name: name != CHOSEN):
            is_chosen, key = name == CHOSEN, f"{name}_fp16"
            target = self.folder / f"{key}.onnx"
            if is_chosen:
                shutil.move(kept.file, target)
            else:
                to_fp16(self._graphs.proven(name, kept.form)[0], target)
            self._note(key, target, "fp16", kept.form, None, kept.score if is_chosen else None)
            self._tried(key, kept.candidates if is_chosen else [])
            self.rows[key]["fp32_layers"] = kept.fp32_layers if is_chosen else []

    def leave_out(self, precision: str) -> None:
        """Remove what there is of the files of a smaller precision."""
        for file in self.folder.glob(f"*_{precision}.onnx"):
            file.unlink()
        self.rows = {key: row for key, row in self.rows.items() if row["precision"] != precision}

    def pick(self) -> str:
        """Return the fastest file of the model, among those that keep the score."""
        files = {
            row["file"]: self.folder / row["file"]
            for name, row in self.rows.items()
            if name == CHOSEN or name.startswith(f"{CHOSEN}_")
        }
        floor = self._floor()
        holding = {
            row["file"] for row in self.rows.values() if within(floor, row.get("score", floor))
        }
        order = candidates.rank(files, self.wish.conditions).order
        return next(file for file in order if file in holding)

    def _checked_on(self, file: Path) -> str:
        """Return the provider that files are scored on and compared on."""
        conditions = self.wish.conditions
        if self._provider is None:
            self._provider = conditions.provider
            try:
                WorkerClient(
                    file, name=file.stem, provider=self._provider, threads=conditions.threads
                ).close()
            except CofiError as error:
                if error.exit_code != ENVIRONMENT:
                    raise
                self._provider = "cpu"
                self.notes.append(f"Scored and compared on the processor: {error.message}")
        return self._provider

    def _floor(self) -> float:
        """Return the least score that a smaller precision of the model may have, in points."""
        return float(self.rows[CHOSEN].get("score", 0.0)) - self.wish.max_drop

    def _score(self, file: Path) -> Json:
        """Return ``metric`` and ``score`` of a file on the dev set, in points.

        The score of one that answers with what is no number is minus infinity.
        """
        if self.task is None:
            return {}
        threads = self.wish.conditions.threads
        with WorkerClient(
            file, name=file.stem, provider=self._checked_on(file), threads=threads
        ) as worker:
            model = Model(file.stem, file, inspect(file))
            self._dev = self._dev or DevSet.of(self.task, self.tokenizer)
            try:
                row = score_model(worker, model, self.task, self._dev)
            except NotANumber:
                row = {"metric": self.task.metrics[0], "score": -math.inf}
        return {"metric": row["metric"], "score": row["score"]}

    def _note(
        self,
        name: str,
        file: Path,
        precision: str,
        form: str,
        parity: Json | None,
        score: Json | None = None,
        *,
        block: int | None = None,
    ) -> None:
        nodes = inspect(file).nodes
        own_name = name.removesuffix("_int8").removesuffix("_fp16")
        checkpoint, model = self.models[own_name]
        row: Json = {
            "file": file.name,
            "precision": precision,
            "form": form,
            "source": checkpoint,
            "weights_sha256": weights_digest(checkpoint),
            "bytes": file.stat().st_size,
            "sha256": file_digest(file),
            "node_count": sum(nodes.values()),
            "nodes": nodes,
        }
        if parity is not None:
            row["parity"] = parity
        if name in (CHOSEN, f"{CHOSEN}_fp16") and self._checked_on(file) == "cuda":
            rows, threads = self.inputs[own_name], self.wish.conditions.threads
            row["parity_on_gpu"] = check_on_gpu(model, file, rows, threads=threads)
        if block is not None:
            row["block_tokens"] = block
        self.rows[name] = row | (self._score(file) if score is None else score)

    def _tried(self, name: str, rows: list[Json]) -> None:
        if rows:
            self.rows[name]["candidates"] = rows
