"""The files of one export: precisions made of the fastest graph, each scored and noted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.acceptance import Judge, Verdict
from cofi_cli.exporting.graphs.choice import CHOSEN, Choice, Graphs, Wish
from cofi_cli.exporting.precision.embeddings import to_int8_rows
from cofi_cli.exporting.precision.fp16 import half, to_fp16
from cofi_cli.exporting.precision.int8 import EightBits
from cofi_cli.runs.export_record import file_digest, weights_digest
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.tasks.metrics.basic import SHARES, share_error
from cofi_cli.tolerances import within

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
        wish: see :class:`~cofi_cli.exporting.graphs.choice.Wish`.
        whole: score of ``CHOSEN`` with its whole vocabulary, where that was trimmed.
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
        whole: Json | None = None,
    ) -> None:
        self.folder, self.models, self.inputs = folder, models, rows
        self.calibration, self.wish = calibration, wish
        self.rows: dict[str, Json] = {}
        self.notes: list[str] = []
        self._whole = whole
        self._exact: dict[str, Json] = {}
        self._shop = folder / ".candidates"
        pads_right = getattr(tokenizer, "padding_side", "right") == "right"
        self._graphs = Graphs(self._shop, models, rows, wish, self.notes, pads_right=pads_right)
        self._pad_id = int(models[CHOSEN][1].config.pad_token_id or 0)
        self._judge = Judge(
            models,
            rows,
            task=task,
            tokenizer=tokenizer,
            conditions=wish.conditions,
            notes=self.notes,
            # Where forms are timed the provider has to be there; one asked for by name needs none.
            needs_provider=wish.graph == "auto" or wish.conditions.provider == "cpu",
        )

    def __enter__(self) -> Build:
        self._shop.mkdir()
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._shop)

    def fp32(self) -> None:
        """Write the fp32 files in the form that is fastest, or in the one asked for.

        Their embedding tables become int8 rows where that was asked for.

        Raises:
            CofiError: a graph is not the torch model, or int8 rows cost too much (exit code 4).
        """
        made, graphs = self._graphs.of_each_form(), self._graphs
        ranking = candidates.rank(made, self.wish.conditions) if len(made) > 1 else None
        order, fastest = (ranking.order, ranking.fastest) if ranking else (list(made), list(made))
        choices, in_blocks = graphs.in_blocks({form: made[form] for form in fastest})
        others = [Choice(form, None, made[form]) for form in order if form != choices[-1].name]
        form, block, on_gpu = self._first_proven([*choices, *others])
        for name in self.models:
            file, proof = graphs.proven(name, form, block)
            target = self.folder / f"{name}.onnx"
            shutil.copyfile(file, target)
            self._exact[name] = score = self._judge.score(target)
            if name == CHOSEN and self._whole is not None:
                self._hold_vocabulary(score)
            if self.wish.has_int8_rows("fp32"):
                score = self._with_int8_rows(name, target)
            self._note(name, target, "fp32", form, score, block=block)
            self.rows[name]["parity"] = proof
        if on_gpu is not None:
            self.rows[CHOSEN]["parity_on_gpu"] = on_gpu
        self._tried(CHOSEN, [*(ranking.rows if ranking else []), *in_blocks])

    def _hold_vocabulary(self, score: Json) -> None:
        """Hold all files against the model with its whole vocabulary, the exact one first."""
        whole = self._exact[CHOSEN] = self._whole or {}
        most = self.wish.max_drop
        if score and whole and not within(whole["score"] - most, score["score"]):
            raise CofiError(
                f"With the trimmed vocabulary the model scores {score['score']:.2f}, with the "
                f"whole one {whole['score']:.2f}; allowed are {most:g} points less.",
                hint="Use a larger --vocab, or allow more with --max-drop.",
                exit_code=PARITY,
            )

    def _with_int8_rows(self, name: str, file: Path) -> Json:
        """Store the tables of an fp32 file as int8 rows, in place; return its new score."""
        to_int8_rows(file, file)
        if name != CHOSEN:
            return self._judge.score(file)
        verdict = self._verdict(file)
        if verdict.fault is not None:
            raise CofiError(
                f"{file.name} with int8 embeddings {verdict.fault}.",
                hint="Use --embeddings fp32, or allow more than "
                f"{self.wish.max_drop:g} points with --max-drop.",
                exit_code=PARITY,
            )
        return verdict.score

    def _first_proven(self, choices: list[Choice]) -> tuple[str, int | None, Json | None]:
        """Return the first graph that is the torch model for every model, on the GPU as well.

        Raises:
            CofiError: none is (exit code 4).
        """
        for choice in choices:
            form, block = choice.name, choice.block
            try:
                for name in self.models:
                    self._graphs.proven(name, form, block)
                file = self._graphs.proven(CHOSEN, form, block)[0]
                return form, block, self._judge.on_gpu(CHOSEN, file)
            except CofiError as error:
                if error.exit_code != PARITY or choice is choices[-1]:
                    raise
                shown = form if block is None else f"{form}, blocks of {block} tokens"
                self._graphs.refuse(shown, error.message)
        raise AssertionError("there is always a choice")

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
            judge=self._verdict,
            notes=self.notes,
        )
        kept = eight_bits.keep()
        target = self.folder / f"{CHOSEN}_int8.onnx"
        shutil.move(kept.file, target)
        self._note(f"{CHOSEN}_int8", target, "int8", kept.form, kept.score, block=kept.block)
        self._tried(f"{CHOSEN}_int8", kept.candidates)
        details = {"recipe": kept.recipe.name, "fp32_layers": kept.fp32_layers}
        self.rows[f"{CHOSEN}_int8"] |= details
        for name in (name for name in self.models if name != CHOSEN):
            target = self.folder / f"{name}_int8.onnx"
            with self._or_without(target):
                eight_bits.alike(name, kept, target)
                score = self._judge.score(target)
                self._note(f"{name}_int8", target, "int8", kept.form, score, block=kept.block)
                self.rows[f"{name}_int8"] |= details | {"fp32_layers": []}

    def fp16(self) -> None:
        """Write the half-precision files in the form that is fastest, or in the one asked for.

        Where it takes that, layers stay fp32, as many as needed.

        Raises:
            CofiError: it takes all of them (exit code 4); nothing is written then.
        """
        kept = half(
            self._graphs,
            judge=self._verdict,
            rows=self.inputs[CHOSEN],
            pad_id=self._pad_id,
            provider=self._judge.provider,
            notes=self.notes,
        )
        target = self.folder / f"{CHOSEN}_fp16.onnx"
        shutil.move(kept.file, target)
        self._note(f"{CHOSEN}_fp16", target, "fp16", kept.form, kept.verdict.score)
        self._tried(f"{CHOSEN}_fp16", kept.candidates)
        on_gpu, checked_on = kept.verdict.on_gpu, self._judge.provider(target)
        own = {"fp32_layers": kept.fp32_layers, "checked_on": checked_on}
        self.rows[f"{CHOSEN}_fp16"] |= own | ({"parity_on_gpu": on_gpu} if on_gpu else {})
        if checked_on == "cpu":
            self.notes.append(
                "fp16 was checked on a processor, which computes it in fp32: what its range and "
                "rounding cost on a GPU is not known."
            )
        for name in (name for name in self.models if name != CHOSEN):
            target = self.folder / f"{name}_fp16.onnx"
            with self._or_without(target):
                to_fp16(self._graphs.proven(name, kept.form)[0], target)
                self._note(f"{name}_fp16", target, "fp16", kept.form, self._judge.score(target))
                self.rows[f"{name}_fp16"] |= own | {"fp32_layers": []}

    @contextmanager
    def _or_without(self, file: Path) -> Iterator[None]:
        """Leave a dense file out that is not what it should be; the pruned one is kept."""
        try:
            yield
        except CofiError as error:
            if error.exit_code != PARITY:
                raise
            file.unlink(missing_ok=True)
            self.notes.append(f"{file.name} is left out: {error.message}")

    def leave_out(self, precision: str) -> None:
        """Remove what there is of the files of a smaller precision."""
        for file in self.folder.glob(f"*_{precision}.onnx"):
            file.unlink()
        self.rows = {key: row for key, row in self.rows.items() if row["precision"] != precision}

    def pick(self) -> tuple[str | None, list[Json]]:
        """Return the fastest file of the model that keeps the score, and the timings.

        ``None`` where the provider is not there; a smaller precision that nothing could
        score is not picked.
        """
        own = [row for key, row in self.rows.items() if key.split("_")[0] == CHOSEN]
        files = {row["file"]: self.folder / row["file"] for row in own}
        holding = {row["file"] for row in own if row["precision"] == "fp32" or "score" in row}
        if len(files) == 1:
            return next(iter(files)), []
        try:
            ranking = candidates.rank(files, self.wish.conditions)
        except CofiError as error:
            if error.exit_code != ENVIRONMENT:
                raise
            self.notes.append(f"The fastest file is not known: {error.message}")
            return None, []
        if left := sorted(files.keys() - holding):
            self.notes.append(f"{', '.join(left)} could not be picked: it has no score.")
        return next(file for file in ranking.order if file in holding), ranking.rows

    def keep_only(self, file: str) -> None:
        """Keep one of the files, which becomes ``model.onnx``, and remove the others."""
        kept = next(row for row in self.rows.values() if row["file"] == file)
        for row in self.rows.values():
            if row is not kept:
                (self.folder / row["file"]).unlink()
        target = self.folder / f"{CHOSEN}.onnx"
        (self.folder / file).replace(target)
        self.rows = {CHOSEN: kept | {"file": target.name}}

    def _verdict(self, file: Path) -> Verdict:
        """Judge a file of the model in a smaller precision."""
        floor = float(self._exact[CHOSEN].get("score", 0.0)) - self.wish.max_drop
        return self._judge.verdict(CHOSEN, file, floor=floor)

    def _note(
        self,
        key: str,
        file: Path,
        precision: str,
        form: str,
        score: Json,
        *,
        block: int | None = None,
    ) -> None:
        graph = inspect(file)
        checkpoint = self.models[key.split("_")[0]][0]
        row: Json = {
            "file": file.name,
            "precision": precision,
            "form": form,
            "source": checkpoint,
            "weights_sha256": weights_digest(checkpoint),
            "bytes": file.stat().st_size,
            "sha256": file_digest(file),
            "embeddings": graph.embeddings,
            "node_count": sum(graph.nodes.values()),
            "nodes": graph.nodes,
        }
        if block is not None:
            row["block_tokens"] = block
        exact = self._exact[key.split("_")[0]]
        is_exact = precision == graph.embeddings == "fp32" and self._whole is None
        if not is_exact and "score" in score and "score" in exact:
            row["drop"] = exact["score"] - score["score"]
            if score["metric"] in SHARES and score.get("rows"):
                row["standard_error"] = share_error(score["score"], score["rows"])
        self.rows[key] = row | score

    def _tried(self, name: str, rows: list[Json]) -> None:
        if rows:
            self.rows[name]["candidates"] = rows
