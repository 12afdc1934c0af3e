"""The files of one export: graph forms tried and timed, precisions made, each proven and scored."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.deploy import environment
from cofi_cli.deploy.blocks import TOKENS, graph_name, in_blocks
from cofi_cli.deploy.candidates import Conditions, Ranking, rank
from cofi_cli.deploy.client import WorkerClient
from cofi_cli.deploy.forms import FORMS, unsupported
from cofi_cli.deploy.fp16 import to_fp16
from cofi_cli.deploy.graph import inspect
from cofi_cli.deploy.int8 import RECIPES, Recipe, Signs, products, quantize, signs_for
from cofi_cli.deploy.layers import by_layer, most_sensitive_first
from cofi_cli.deploy.parity import check_parity
from cofi_cli.deploy.samples import Rows
from cofi_cli.deploy.scoring import DevSet, score_model
from cofi_cli.deploy.source import weights_digest
from cofi_cli.deploy.targets import Model
from cofi_cli.deploy.tracing import write_onnx
from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)

Json = dict[str, Any]
CHOSEN = "model"
"""The model that forms and recipes are chosen for; its dense teacher gets the same."""


@dataclass(frozen=True)
class Wish:
    """What an export is asked for.

    Attributes:
        graph: ``auto``, or one of :data:`cofi_cli.deploy.forms.FORMS`.
        portable: standard ONNX operators only.
        conditions: what the files are to be fast at.
        max_drop: points of score that int8 may lose against fp32.
        opset, tolerance: of the graphs, and of their parity with torch.
    """

    graph: str
    portable: bool
    conditions: Conditions
    max_drop: float
    opset: int
    tolerance: float


class Build:
    """Writes files into a folder and keeps a row on each. Use as a context manager.

    Each graph is traced and proven once, whatever is made of it; until the end it
    lies in a folder of its own inside ``folder``.

    Args:
        folder: exists; ``CHOSEN.onnx`` and the others go here.
        models: file stem -> (checkpoint, model in eval mode).
        rows: what parity is checked on.
        task: what files are scored on; ``None`` leaves scores out.
        calibration: text for static int8, ``None`` where there is none.
        tokenizer: the model's.
        wish: see :class:`Wish`.
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
        self._traced: dict[tuple[str, str, int | None], tuple[Path, Json]] = {}
        self._refused: set[str] = set()
        self._dev: DevSet | None = None
        self._shop = folder / ".candidates"

    def __enter__(self) -> Build:
        self._shop.mkdir()
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._shop)

    def fp32(self) -> None:
        """Write the fp32 files in the form that is fastest, or in the one asked for."""
        made = self._graphs()
        ranking = rank(made, self.wish.conditions) if len(made) > 1 else None
        form = ranking.order[0] if ranking else next(iter(made))
        tried = ranking.rows if ranking else []
        block, also_tried = self._block(made[form], form)
        try:
            for name in self.models:
                self._trace(name, form, block)
        except CofiError as error:
            if error.exit_code != PARITY or block is None:
                raise
            self.notes.append(f"Blocks of {block} tokens are left out: {error.message}")
            block = None
        for name in self.models:
            file, proof = self._trace(name, form, block)
            target = self.folder / f"{name}.onnx"
            shutil.copyfile(file, target)
            self._note(name, target, "fp32", form, proof, block=block)
        self._tried(CHOSEN, [*tried, *also_tried])

    def int8(self) -> None:
        """Write the 8-bit files: the fastest recipe that keeps the score.

        Where none does, the most sensitive layers stay fp32, as many as it takes.
        """
        signs = signs_for(environment.describe_machine()["flags"])
        sources, shop = self._graphs(), self._shop
        made: dict[str, Path] = {}
        how: dict[str, tuple[str, Recipe]] = {}
        for recipe in RECIPES:
            if recipe.method == "static" and self.calibration is None:
                continue
            for form, source in sources.items():
                if recipe.method == "static" and not FORMS[form].is_portable:
                    continue  # onnxruntime quantizes its own Attention in dynamic form only
                name = f"{form}, {recipe.name}"
                file = shop / f"{form}-{recipe.name}.onnx"
                try:
                    self._quantize(source, file, recipe, signs)
                except Exception as error:  # of onnxruntime's quantizer, for this graph
                    self.notes.append(f"int8 '{name}' is left out: {error}")
                    continue
                made[name], how[name] = file, (form, recipe)
        if not made:
            raise CofiError(
                f"onnxruntime could quantize no graph: {self.notes[-1]}",
                hint="Try another --opset, or another version of onnxruntime.",
                exit_code=ENVIRONMENT,
            )
        ranking = rank(made, self.wish.conditions)
        name, kept, score = self._that_holds(ranking, made, how, sources, signs, shop)
        form, recipe = how[name]
        target = self.folder / f"{CHOSEN}_int8.onnx"
        block, also_tried = self._block(made[name], name)
        if block is not None:
            in_blocks(made[name], target, block)
            own = self._score(target)  # activations are scaled block by block
            if own.get("score", 0.0) >= self._floor():
                score = own
            else:
                self.notes.append(
                    f"int8 takes its batch whole: blocks of {block} tokens lose score."
                )
                block = None
        if block is None:
            shutil.move(made[name], target)
        self._note(f"{CHOSEN}_int8", target, "int8", form, None, score, block=block)
        self._tried(f"{CHOSEN}_int8", [*ranking.rows, *also_tried])
        self.rows[f"{CHOSEN}_int8"] |= {"recipe": recipe.name, "fp32_layers": kept}
        for other in self.models:
            if other == CHOSEN:
                continue
            target = self.folder / f"{other}_int8.onnx"
            self._quantize(self._trace(other, form)[0], target, recipe, signs)
            if block is not None:
                in_blocks(target, target, block)
            self._note(f"{other}_int8", target, "int8", form, None, block=block)
            self.rows[f"{other}_int8"] |= {"recipe": recipe.name, "fp32_layers": []}

    def fp16(self) -> None:
        """Write the half-precision files, in the form of the fp32 ones.

        Raises:
            CofiError: logits that are not numbers, or a score below the allowed one.
        """
        form = self.rows[CHOSEN]["form"]
        for name in self.models:
            target = self.folder / f"{name}_fp16.onnx"
            to_fp16(self.folder / f"{name}.onnx", target)
            self._note(f"{name}_fp16", target, "fp16", form, None)
        before, after = self.rows[CHOSEN], self.rows[f"{CHOSEN}_fp16"]
        if "score" in before and before["score"] - after["score"] > self.wish.max_drop:
            drop = before["score"] - after["score"]
            raise CofiError(
                f"fp16 loses {drop:.2f} points of score, allowed are {self.wish.max_drop:g}.",
                hint="Use --precision fp32, or allow it with --max-drop.",
                exit_code=PARITY,
            )

    def pick(self) -> str:
        """Return the fastest file of the model, among those that keep the score."""
        files = {
            row["file"]: self.folder / row["file"]
            for name, row in self.rows.items()
            if name == CHOSEN or name.startswith(f"{CHOSEN}_")
        }
        floor = self._floor()
        holding = {row["file"] for row in self.rows.values() if row.get("score", floor) >= floor}
        order = rank(files, self.wish.conditions).order
        return next(file for file in order if file in holding)

    def _forms(self) -> list[str]:
        """Return the forms to try, the plainest first."""
        if self.wish.graph != "auto":
            why = unsupported(self.models[CHOSEN][1], self.wish.graph)
            if why is not None:
                raise CofiError(
                    f"Graph '{self.wish.graph}' does not fit this model: {why}.",
                    hint="Use --graph plain or --graph packed, or leave --graph out.",
                )
            return [self.wish.graph]
        is_cuda = self.wish.conditions.provider == "cuda"
        fitting = []
        for form in FORMS.values():
            if (self.wish.portable and not form.is_portable) or (
                form.name == "fused-skip" and not is_cuda
            ):
                continue
            why = unsupported(self.models[CHOSEN][1], form.name)
            if why is None:
                fitting.append(form.name)
            elif form.name not in self._refused:
                self._refused.add(form.name)
                self.notes.append(f"Graph '{form.name}' is left out: {why}.")
        return fitting

    def _graphs(self) -> dict[str, Path]:
        """Return the model's graph in each form to try; one that is not proven is left out."""
        names = self._forms()
        made = {}
        for form in names:
            if form in self._refused:
                continue
            try:
                made[form] = self._trace(CHOSEN, form)[0]
            except CofiError as error:
                if error.exit_code != PARITY or len(names) == 1 or form == names[0]:
                    raise
                self._refused.add(form)
                self.notes.append(f"Graph '{form}' is left out: {error.message}")
        return made

    def _trace(self, name: str, form: str, block: int | None = None) -> tuple[Path, Json]:
        """Return a model's graph in a form, and the proof that it is the torch model's."""
        if (name, form, block) not in self._traced:
            model, wish = self.models[name][1], self.wish
            shown = f"{name}.onnx"
            if form != "plain" or block is not None:
                shown += f" (graph '{graph_name({'form': form, 'block_tokens': block})}')"
            rows, tolerance = self.inputs[name], wish.tolerance
            if block is None:
                file = self._shop / f"{name}-{form}.onnx"
                provider = wish.conditions.provider
                write_onnx(model, file, opset=wish.opset, form=form, provider=provider)
                proof = check_parity(model, file, rows, name=shown, tolerance=tolerance)
            else:
                file = self._shop / f"{name}-{form}-{block}.onnx"
                in_blocks(self._trace(name, form)[0], file, block)
                proof = check_parity(
                    model, file, rows, name=shown, tolerance=tolerance, block=block
                )
            self._traced[name, form, block] = file, proof
        return self._traced[name, form, block]

    def _block(self, file: Path, name: str) -> tuple[int | None, list[Json]]:
        """Return the tokens of the blocks in which a graph is faster, if any, and the timings."""
        conditions = self.wish.conditions
        if self.wish.graph != "auto" or conditions.provider != "cpu":
            return None, []
        largest = max(conditions.batch) * max(conditions.seq_len)
        sizes = [own for tokens in TOKENS if (own := tokens * conditions.threads) < largest]
        if max(conditions.batch) == 1 or not sizes:
            return None, []
        files, blocks = {name: file}, {}
        for size in sizes:
            shown = graph_name({"form": name, "block_tokens": size})
            files[shown], blocks[shown] = file.with_suffix(f".{size}.onnx"), size
            in_blocks(file, files[shown], size)
        ranking = rank(files, conditions)
        return blocks.get(ranking.order[0]), ranking.rows

    def _floor(self) -> float:
        """Return the least score that a smaller precision of the model may have, in points."""
        return float(self.rows[CHOSEN].get("score", 0.0)) - self.wish.max_drop

    def _quantize(
        self, source: Path, target: Path, recipe: Recipe, signs: Signs, keep: tuple[str, ...] = ()
    ) -> None:
        pad_id = int(self.models[CHOSEN][1].config.pad_token_id or 0)
        quantize(
            source,
            target,
            recipe,
            signs,
            keep=keep,
            calibration=self.calibration,
            pad_id=pad_id,
        )

    def _that_holds(
        self,
        ranking: Ranking,
        made: dict[str, Path],
        how: Mapping[str, tuple[str, Recipe]],
        sources: Mapping[str, Path],
        signs: Signs,
        shop: Path,
    ) -> tuple[str, list[str], Json]:
        """Return the candidate to keep, the layers that it keeps in fp32, and its score."""
        if self.task is None:
            self.notes.append("int8 is not scored: there is no task to score on.")
            return ranking.order[0], [], {}
        floor = self._floor()
        scores = {}
        for name in ranking.order:
            scores[name] = self._score(made[name])
            if scores[name]["score"] >= floor:
                return name, [], scores[name]
        name = max(ranking.order, key=lambda name: float(scores[name]["score"]))
        form, recipe = how[name]
        source = sources[form]
        layers = by_layer(products(source))
        order = most_sensitive_first(
            layers,
            source=source,
            make=lambda keep: self._quantized_part(source, shop, recipe, signs, keep),
            rows=self.inputs[CHOSEN],
            pad_id=int(self.models[CHOSEN][1].config.pad_token_id or 0),
        )
        kept: list[str] = []
        score = scores[name]
        for layer in order:
            kept.append(layer)
            keep = tuple(node for own in kept for node in layers[own])
            self._quantize(source, made[name], recipe, signs, keep)
            score = self._score(made[name])
            if score["score"] >= floor:
                break
        self.notes.append(f"int8 keeps in fp32, for its score: {', '.join(kept)}.")
        return name, kept, score

    def _quantized_part(
        self, source: Path, shop: Path, recipe: Recipe, signs: Signs, keep: tuple[str, ...]
    ) -> Path:
        file = shop / "part.onnx"
        self._quantize(source, file, recipe, signs, keep)
        return file

    def _score(self, file: Path) -> Json:
        """Return ``metric`` and ``score`` of a file on the dev set, in points."""
        if self.task is None:
            return {}
        conditions = self.wish.conditions
        with WorkerClient(
            file, name=file.stem, provider="cpu", threads=conditions.threads
        ) as worker:
            model = Model(file.stem, file, inspect(file))
            self._dev = self._dev or DevSet.of(self.task, self.tokenizer)
            row = score_model(worker, model, self.task, self._dev)
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
        checkpoint = self.models[name.removesuffix("_int8").removesuffix("_fp16")][0]
        row: Json = {
            "file": file.name,
            "precision": precision,
            "form": form,
            "source": checkpoint,
            "weights_sha256": weights_digest(checkpoint),
            "bytes": file.stat().st_size,
            "node_count": sum(nodes.values()),
            "nodes": nodes,
        }
        if parity is not None:
            row["parity"] = parity
        if block is not None:
            row["block_tokens"] = block
        self.rows[name] = row | (self._score(file) if score is None else score)

    def _tried(self, name: str, rows: list[Json]) -> None:
        if rows:
            self.rows[name]["candidates"] = rows
