"""Which 8-bit file an export keeps: the fastest that holds the score, layers in fp32 if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.acceptance import Verdict
from cofi_cli.exporting.candidates import Ranking
from cofi_cli.exporting.graphs.choice import CHOSEN, Choice, Graphs
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.precision.embeddings import EMBEDDINGS, to_int8_rows
from cofi_cli.exporting.precision.fallback import Kept, keep_in_fp32
from cofi_cli.exporting.precision.quantization import (
    RECIPES,
    Recipe,
    activations_for,
    products,
    quantize,
)
from cofi_cli.runs import machine
from cofi_cli.runs.records import Candidate, ScoreRow
from cofi_cli.runtime.inputs import Batch

FORMS_IN_ALL_RECIPES = 2
"""The fastest forms, and the fastest portable one, are tried in every recipe."""


class Version(NamedTuple):
    """A graph in 8 bits: its form, its recipe and its file."""

    form: str
    recipe: Recipe
    file: Path


class Fastest(NamedTuple):
    """A model's fastest graph in 8 bits, its recipe, and what was timed."""

    choice: Choice
    recipe: Recipe
    timed: list[Candidate]


Judged = Callable[[Path, ScoreRow | None], Verdict]


class EightBits:
    """Makes 8-bit versions of an export's graphs.

    Args:
        graphs: the fp32 ones.
        batches: inputs that layers are compared on.
        calibration: text for static recipes; ``None`` leaves them out.
        judge: of a file.
        notes: what is left out and why is added here.
    """

    def __init__(
        self,
        graphs: Graphs,
        *,
        batches: Sequence[Batch],
        calibration: Sequence[Batch] | None,
        judge: Callable[[Path], Verdict],
        notes: list[str],
    ) -> None:
        self._graphs, self._batches, self._calibration = graphs, batches, calibration
        self._judge, self._notes = judge, notes
        self._activations = activations_for(machine.cpu_flags())

    def keep(self) -> tuple[Kept, Recipe, Version]:
        """Return the fastest file that keeps the score, in blocks of rows where that is faster.

        Returns:
            The file, its recipe, and the version whose recipe the dense model gets: the fastest,
            whatever that scores, for the dense model does not share the reasons for a slower one.

        Raises:
            CofiError: onnxruntime could quantize nothing (exit code 5), or what it made loses
                too much (4).
        """
        made, ranking, rows = self._ranked()
        name, layers, verdict = self._that_holds(ranking, made)
        best, fastest = made[name], made[ranking.order[0]]
        # Where another lost its score, or layers stay in fp32, nothing is known of those that tie.
        is_first = best is fastest and not layers
        shown = name + (f", {', '.join(layers)} in fp32" if layers else "")
        tried = {own: made[own] for own in ranking.fastest} if is_first else {shown: best}
        choices, in_blocks = self._graphs.in_blocks(_files(tried))
        timed = [*rows, *in_blocks]
        for own, block, file in choices[:-1]:  # of other scores, since scales are those of a block
            version, judged = tried[own], self._judge(file)
            if judged.fault is None:
                kept = Kept(file, version.form, judged, layers, timed, block)
                return kept, version.recipe, version if is_first else fastest
            self._notes.append(
                f"int8 in blocks of {block} tokens ({own}) is left out: it {judged.fault}."
            )
        return Kept(best.file, best.form, verdict, layers, timed), best.recipe, fastest

    def fastest_of(self, name: str, forms: Sequence[str], recipe: Recipe, judge: Judged) -> Fastest:
        """Return which of some forms of a model is fastest in a recipe.

        In blocks of rows only where these cost no score against the same file whole.

        Args:
            name: of a model beside the deployed one.
            forms: without those that the model lacks.
            recipe: of all of them; the others where none of them takes it.
            judge: of a file, by the score that it is held against.

        Raises:
            CofiError: onnxruntime could quantize no graph (exit code 4).
        """
        sources = {form: self._graphs.proven(name, form)[0] for form in forms}
        made = self._quantized(sources, [recipe], stem=f"{name}-")
        made = made or self._quantized(sources, RECIPES, stem=f"{name}-")
        if not made:
            raise CofiError("onnxruntime could quantize no graph of it.", exit_code=PARITY)
        files = _files(made)
        rows: list[Candidate] = []
        if len(files) > 1:
            ranking = candidates.rank(files, self._graphs.wish.conditions)
            files, rows = {own: files[own] for own in ranking.fastest}, ranking.rows
        (*divided, whole), in_blocks = self._graphs.in_blocks(files)
        exact = judge(whole.file, None).score if divided else None
        holding = (choice for choice in divided if judge(choice.file, exact).fault is None)
        choice = next(holding, whole)
        form, used, _ = made[choice.name]
        return Fastest(Choice(form, choice.block, choice.file), used, [*rows, *in_blocks])

    def _ranked(self) -> tuple[dict[str, Version], Ranking, list[Candidate]]:
        """Return versions by their names, their order by speed, and all timings.

        All forms are tried in the first recipe, then the fastest of them in the others: each
        file that is timed is held open by a process of its own.
        """
        sources, conditions = self._graphs.of_each_form(), self._graphs.wish.conditions
        made = self._quantized(sources, RECIPES[:1])
        ranking = Ranking(list(made), [])
        if len(made) > 1:
            ranking = candidates.rank(_files(made), conditions)
            order = [made[name].form for name in ranking.order]
            portable = [form for form in order if FORMS[form].is_portable]
            chosen = dict.fromkeys([*order[:FORMS_IN_ALL_RECIPES], *portable[:1]])
            sources = {form: sources[form] for form in chosen}
        others = self._quantized(sources, RECIPES[1:])
        if not others and made:
            return made, ranking, ranking.rows
        made = {name: made[name] for name in ranking.order if made[name].form in sources} | others
        if not made:
            raise CofiError(
                f"onnxruntime could quantize no graph: {self._notes[-1]}",
                hint="Try another --opset, or another version of onnxruntime.",
                exit_code=ENVIRONMENT,
            )
        last = candidates.rank(_files(made), conditions)
        return made, last, [*ranking.rows, *last.rows]

    def _quantized(
        self, sources: Mapping[str, Path], recipes: Sequence[Recipe], *, stem: str = ""
    ) -> dict[str, Version]:
        """Return forms in the recipes that they take, by their names; files begin with ``stem``."""
        made: dict[str, Version] = {}
        for recipe in recipes:
            if recipe.method == "static" and self._calibration is None:
                continue
            for form, source in sources.items():
                if recipe.method == "static" and not FORMS[form].is_portable:
                    continue  # onnxruntime quantizes its own Attention in dynamic form only
                name = f"{form}, {recipe.name}"
                file = self._graphs.shop / f"{stem}{form}-{recipe.name}.onnx"
                try:
                    self._quantize(source, file, recipe)
                except Exception as error:  # of onnxruntime's quantizer, for this graph
                    self._notes.append(f"int8 '{name}' is left out: {error}")
                    continue
                made[name] = Version(form, recipe, file)
        return made

    def _that_holds(
        self, ranking: Ranking, made: Mapping[str, Version]
    ) -> tuple[str, list[str], Verdict]:
        """Return the candidate to keep, the layers that it keeps in fp32, and the verdict on it."""
        verdicts = {}
        for name in ranking.order:
            verdicts[name] = self._judge(made[name].file)
            if verdicts[name].fault is None:
                return name, [], verdicts[name]
        name = max(ranking.order, key=lambda name: verdicts[name].points)
        form, recipe, file = made[name]
        source = self._graphs.proven(CHOSEN, form)[0]
        is_free = self._graphs.wish.embeddings == "auto"
        kept, verdict = keep_in_fp32(
            [*products(source), *([EMBEDDINGS] if is_free else [])],
            precision="int8",
            source=source,
            make=lambda keep: self._quantize(source, file, recipe, keep),
            judge=self._judge,
            fault=str(verdicts[name].fault),
            max_drop=self._graphs.wish.max_drop,
            batches=self._batches,
        )
        self._notes.append(
            f"int8 keeps in fp32, for its score: {', '.join(kept)}. Graphs and recipes were timed "
            "before that, with every layer in 8 bits."
        )
        return name, kept, verdict

    def _quantize(
        self, source: Path, target: Path, recipe: Recipe, keep: tuple[str, ...] = ()
    ) -> Path:
        text = self._calibration
        quantize(source, target, recipe, self._activations, keep=keep, calibration=text)
        if self._graphs.wish.has_int8_rows("int8") and EMBEDDINGS not in keep:
            to_int8_rows(target, target)
        return target


def _files(versions: Mapping[str, Version]) -> dict[str, Path]:
    return {name: version.file for name, version in versions.items()}
