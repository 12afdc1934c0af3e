"""The files of one export: precisions made of the fastest graph, each scored and recorded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.acceptance import Judge, Verdict, lost
from cofi_cli.exporting.graphs.choice import CHOSEN, Choice, Found, Graphs, Made, Wish
from cofi_cli.exporting.parity import pad_id
from cofi_cli.exporting.precision.embeddings import to_int8_rows
from cofi_cli.exporting.precision.fallback import Kept, layer_batches
from cofi_cli.exporting.precision.fp16 import half, to_fp16
from cofi_cli.exporting.precision.int8 import EightBits
from cofi_cli.exporting.precision.quantization import calibration_batches
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.digests import file_digest, weights_digest
from cofi_cli.runs.records import EXACT, Candidate, ExportedFile, ScoreRow
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import inspect
from cofi_cli.tasks import Task
from cofi_cli.tasks.metrics.jackknife import paired_error


class Build:
    """Makes files in a workshop and keeps a record of each.

    Args:
        shop: an empty folder; the files go into ``files`` in it, candidates lie beside that.
        models: size -> (checkpoint, model in eval mode).
        rows: what parity is checked on.
        task: what files are scored on; ``None`` leaves scores out.
        calibration: text for static int8, ``None`` where there is none.
        tokenizer: the model's.
        wish: see :class:`~cofi_cli.exporting.graphs.choice.Wish`.
        whole: score of ``CHOSEN`` as it is, where its table of word vectors was made smaller.
        known: see :class:`~cofi_cli.exporting.graphs.choice.Graphs`.
        choices: size -> the fastest graph, where it is known.
    """

    def __init__(
        self,
        shop: Path,
        models: Mapping[str, tuple[str, CofiForTask]],
        *,
        rows: Mapping[str, Rows],
        task: Task | None,
        calibration: Rows | None,
        tokenizer: Any,
        wish: Wish,
        whole: ScoreRow | None = None,
        known: Made | None = None,
        choices: Mapping[str, Choice] | None = None,
    ) -> None:
        self.folder, self.models, self.inputs = shop / "files", models, rows
        self.calibration, self.wish, self._whole = calibration, wish, whole
        self.files: dict[str, ExportedFile] = {}
        self.notes: list[str] = []
        self.choices = dict(choices or {})
        self._exact: dict[str, ScoreRow | None] = {}
        for made in (self.folder, tried := shop / "candidates"):
            made.mkdir()
        args, side = (models, rows, wish, self.notes), getattr(tokenizer, "padding_side", "right")
        self.graphs = Graphs(tried, *args, pads_right=side == "right", known=known)
        self._pad_id = pad_id(models[CHOSEN][1])
        self._judge = Judge(
            models, rows, task=task, tokenizer=tokenizer, wish=wish, notes=self.notes
        )

    def fp32(self) -> None:
        """Write the fp32 files, each in the form that is fastest for it or in the one asked for.

        Their embedding tables become int8 rows where that was asked for.

        Raises:
            CofiError: a graph is not the torch model, or int8 rows cost too much (exit code 4).
        """
        for name in self.models:
            choice, on_gpu, tried = self._fastest(name)
            self.choices[name], target = choice, self.folder / f"{name}.onnx"
            file, proof = self.graphs.proven(name, choice.name, choice.block)
            shutil.copyfile(file, target)
            self._exact[name] = score = self._judge.score(target)
            if name == CHOSEN and self._whole is not None:
                self._exact[name] = self._whole  # what all files are held against
                self._check_smaller_words(score, self._whole)
            if self.wish.has_int8_rows(EXACT):
                score = self._with_int8_rows(name, target)
            self._record(
                name,
                target,
                EXACT,
                choice.name,
                score,
                block_tokens=choice.block,
                parity=proof,
                parity_on_gpu=on_gpu,
                candidates=tried,
            )

    def _fastest(self, name: str) -> Found:
        if name in self.choices:
            return self.choices[name], None, []
        return self.graphs.fastest(name, self._judge.on_gpu if name == CHOSEN else None)

    def _check_smaller_words(self, score: ScoreRow | None, whole: ScoreRow) -> None:
        """Refuse a model whose smaller table of word vectors costs more than is allowed."""
        if score is None:
            return
        max_drop, part_drops = self.wish.max_drop, self.wish.part_drops
        fault = lost(whole, score, max_drop=max_drop, part_drops=part_drops)
        if fault is not None:
            raise CofiError(
                f"With the smaller table of word vectors the model {fault}; with the whole one it "
                f"scores {whole.score:.2f}.",
                hint="Use a larger --vocab, --embedding-rank or --size, or allow more with "
                "--max-drop.",
                exit_code=PARITY,
            )

    def _with_int8_rows(self, name: str, file: Path) -> ScoreRow | None:
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

    def int8(self) -> None:
        """Write the 8-bit files: the fastest recipe that keeps the score.

        Where none does, the most sensitive layers stay fp32, as many as it takes.

        Raises:
            CofiError: it takes all of them (exit code 4); nothing is written then.
        """
        text = self.calibration
        eight_bits = EightBits(
            self.graphs,
            batches=layer_batches(self.inputs[CHOSEN], self._pad_id),
            calibration=None if text is None else calibration_batches(text, self._pad_id),
            judge=self._verdict,
            notes=self.notes,
        )
        kept, recipe, dense = eight_bits.keep()
        self._keep("int8", kept, block_tokens=kept.block, recipe=recipe.name)
        for name, target in self._others("int8"):
            with self._or_without(target):
                # The deployed model's form, or the one that is fastest for this model in fp32.
                forms = dict.fromkeys([self._form_for(name, dense.form), self.choices[name].name])
                judge = self._judge.verdict
                found = eight_bits.fastest_of(name, [*forms], dense.recipe, judge)
                shutil.move(found.choice.file, target)
                self._record(
                    name,
                    target,
                    "int8",
                    found.choice.name,
                    self._judge.score(target),
                    block_tokens=found.choice.block,
                    recipe=found.recipe.name,
                    candidates=found.timed,
                )

    def fp16(self) -> None:
        """Write the half-precision files in the form that is fastest, or in the one asked for.

        Where it takes that, layers stay fp32, as many as needed.

        Raises:
            CofiError: it takes all of them (exit code 4); nothing is written then.
        """
        kept = half(
            self.graphs,
            judge=self._verdict,
            batches=layer_batches(self.inputs[CHOSEN], self._pad_id),
            provider=self._judge.provider,
            notes=self.notes,
        )
        checked_on = self._judge.provider(kept.file)
        self._keep("fp16", kept, checked_on=checked_on)
        if checked_on == "cpu":
            self.notes.append(
                "fp16 was checked on a processor, which computes it in fp32: what its range and "
                "rounding cost on a GPU is not known."
            )
        for name, target in self._others("fp16"):
            with self._or_without(target):
                form = self._form_for(name, kept.form)
                to_fp16(self.graphs.proven(name, form)[0], target)
                score = self._judge.score(target)
                self._record(name, target, "fp16", form, score, checked_on=checked_on)

    def _keep(self, precision: str, kept: Kept, **more: Any) -> None:
        """Move the file of a smaller precision to where it belongs, and record it."""
        target = self.folder / f"{CHOSEN}_{precision}.onnx"
        shutil.move(kept.file, target)
        self._record(
            CHOSEN,
            target,
            precision,
            kept.form,
            kept.verdict.score,
            candidates=kept.candidates,
            fp32_layers=kept.fp32_layers,
            parity_on_gpu=kept.verdict.on_gpu,
            **more,
        )

    def _others(self, precision: str) -> list[tuple[str, Path]]:
        """Return the models beside the deployed one, and their files of a smaller precision."""
        names = [name for name in self.models if name != CHOSEN]
        return [(name, self.folder / f"{name}_{precision}.onnx") for name in names]

    def _form_for(self, name: str, form: str) -> str:
        """Return a form of the deployed model, or the own one of a model that lacks it."""
        return self.choices[name].name if self.graphs.is_refused(name, form) else form

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
        """Drop what there is of the files of a smaller precision."""
        self.files = {k: file for k, file in self.files.items() if file.precision != precision}

    def pick(self) -> tuple[str | None, list[Candidate]]:
        """Return the fastest file of the model that keeps the score, and the timings.

        ``None`` where the provider is not there; a smaller precision that nothing could
        score is not picked.
        """
        own = [file for file in self.files.values() if file.size == CHOSEN]
        places = {file.file: self.folder / file.file for file in own}
        holding = {f.file for f in own if f.precision == EXACT or f.score is not None}
        if len(places) == 1:
            return next(iter(places)), []
        try:
            ranking = candidates.rank(places, self.wish.conditions)
        except CofiError as error:
            if error.exit_code != ENVIRONMENT:
                raise
            self.notes.append(f"The fastest file is not known: {error.message}")
            return None, []
        if left := sorted(places.keys() - holding):
            self.notes.append(f"{', '.join(left)} could not be picked: it has no score.")
        return next(file for file in ranking.order if file in holding), ranking.rows

    def keep_only(self, file: str) -> None:
        """Keep one of the files, which becomes ``model.onnx``."""
        kept = next(own for own in self.files.values() if own.file == file)
        name = f"{CHOSEN}.onnx"
        (self.folder / file).replace(self.folder / name)
        self.files = {CHOSEN: kept.model_copy(update={"file": name})}

    def _verdict(self, file: Path) -> Verdict:
        """Judge a file of the model in a smaller precision."""
        return self._judge.verdict(file, self._exact[CHOSEN])

    def _record(
        self,
        size: str,
        file: Path,
        precision: str,
        form: str,
        score: ScoreRow | None,
        **more: Any,
    ) -> None:
        """Record a file that lies in the folder; ``more`` are further fields of its record."""
        graph, exact, checkpoint = inspect(file), self._exact[size], self.models[size][0]
        is_exact = {precision, graph.embeddings} == {EXACT} and self._whole is None
        if score is not None:
            more |= {"metric": score.metric, "score": score.score, "rows": score.rows}
            if exact is not None and not is_exact:
                more["drop"] = exact.score - score.score
                error = paired_error(score.scores_without, exact.scores_without)
                more["standard_error"] = error
        self.files[file.stem] = ExportedFile(
            file=file.name,
            size=size,
            precision=precision,
            form=form,
            source=checkpoint,
            weights_sha256=weights_digest(checkpoint),
            bytes=file.stat().st_size,
            sha256=file_digest(file),
            embeddings=graph.embeddings,
            node_count=sum(graph.nodes.values()),
            nodes=graph.nodes,
            **more,
        )
