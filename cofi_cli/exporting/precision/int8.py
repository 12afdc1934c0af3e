"""Which 8-bit file an export keeps: the fastest that holds the score, layers in fp32 if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.acceptance import Verdict
from cofi_cli.exporting.candidates import Ranking
from cofi_cli.exporting.graphs import blocks
from cofi_cli.exporting.graphs.choice import CHOSEN, Graphs
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.precision.embeddings import EMBEDDINGS, to_int8_rows
from cofi_cli.exporting.precision.fallback import keep_in_fp32
from cofi_cli.exporting.precision.quantization import RECIPES, Recipe, products, quantize, signs_for
from cofi_cli.runs import machine
from cofi_cli.runs.records import Candidate, ScoreRow
from cofi_cli.runtime.inputs import Rows

FORMS_IN_ALL_RECIPES = 2
"""The fastest forms, and the fastest portable one, are tried in every recipe."""


@dataclass(frozen=True)
class Kept:
    """The file that is kept, and how the dense model's is made.

    Attributes:
        file: of :data:`CHOSEN`.
        form, recipe: of its graph.
        dense: form and recipe of the dense model's file: the fastest, whatever their score, for the
            dense model does not share the reasons for a slower one.
        score: what its score was found to be; ``None`` where there is no task.
        fp32_layers: what stays in fp32 for the score's sake.
        block: tokens of its blocks of rows, if any.
        candidates: what was timed.
    """

    file: Path
    form: str
    recipe: Recipe
    dense: tuple[str, Recipe]
    score: ScoreRow | None
    fp32_layers: list[str]
    block: int | None
    candidates: list[Candidate]


class EightBits:
    """Makes 8-bit versions of an export's graphs.

    Args:
        graphs: the fp32 ones.
        rows: inputs that layers are compared on.
        calibration: text for static recipes; ``None`` leaves them out.
        pad_id: of its padding.
        judge: of a file.
        notes: what is left out and why is added here.
    """

    def __init__(
        self,
        graphs: Graphs,
        *,
        rows: Rows,
        calibration: Rows | None,
        pad_id: int,
        judge: Callable[[Path], Verdict],
        notes: list[str],
    ) -> None:
        self._graphs, self._rows = graphs, rows
        self._calibration, self._pad_id = calibration, pad_id
        self._judge, self._notes = judge, notes
        self._signs = signs_for(machine.cpu_flags())

    def keep(self) -> Kept:
        """Return the fastest file that keeps the score, in blocks of rows where that is faster.

        Raises:
            CofiError: onnxruntime could quantize nothing (exit code 5), or what it made loses
                too much (4).
        """
        made, how, ranking, rows = self._ranked()
        name, layers, score = self._that_holds(ranking, made, how)
        shown = name + (f", {', '.join(layers)} in fp32" if layers else "")
        # Where another lost its score, or layers stay in fp32, nothing is known of those that tie.
        is_first = name == ranking.order[0] and not layers
        fastest = {own: made[own] for own in ranking.fastest} if is_first else {shown: made[name]}
        how[shown] = how[name]
        choices, in_blocks = self._graphs.in_blocks(fastest)
        timed = [*rows, *in_blocks]
        for own, block, file in choices[:-1]:  # of other scores, since scales are those of a block
            verdict = self._judge(file)
            if verdict.fault is None:
                dense = how[own if is_first else ranking.order[0]]
                return Kept(file, *how[own], dense, verdict.score, layers, block, timed)
            self._notes.append(
                f"int8 in blocks of {block} tokens ({own}) is left out: it {verdict.fault}."
            )
        dense = how[ranking.order[0]]
        return Kept(made[name], *how[name], dense, score, layers, None, timed)

    def as_fast(self, name: str, kept: Kept, target: Path, form: str) -> None:
        """Write the dense model in a form, the recipe that was fastest, and the same blocks."""
        self._quantize(self._graphs.proven(name, form)[0], target, kept.dense[1])
        if kept.block is not None:
            blocks.in_blocks(target, target, kept.block)

    def _ranked(
        self,
    ) -> tuple[dict[str, Path], dict[str, tuple[str, Recipe]], Ranking, list[Candidate]]:
        """Return files, their forms and recipes, their order by speed, and all timings.

        All forms are tried in the first recipe, then the fastest of them in the others: each
        file that is timed is held open by a process of its own.
        """
        sources, conditions = self._graphs.of_each_form(), self._graphs.wish.conditions
        made, how = self._quantized(sources, RECIPES[:1])
        ranking = Ranking(list(made), [])
        if len(made) > 1:
            ranking = candidates.rank(made, conditions)
            order = [how[name][0] for name in ranking.order]
            portable = [form for form in order if FORMS[form].is_portable]
            chosen = dict.fromkeys([*order[:FORMS_IN_ALL_RECIPES], *portable[:1]])
            sources = {form: sources[form] for form in chosen}
        others, how_others = self._quantized(sources, RECIPES[1:])
        how |= how_others
        if not others and made:
            return made, how, ranking, ranking.rows
        made = {name: made[name] for name in ranking.order if how[name][0] in sources} | others
        if not made:
            raise CofiError(
                f"onnxruntime could quantize no graph: {self._notes[-1]}",
                hint="Try another --opset, or another version of onnxruntime.",
                exit_code=ENVIRONMENT,
            )
        last = candidates.rank(made, conditions)
        return made, how, last, [*ranking.rows, *last.rows]

    def _quantized(
        self, sources: Mapping[str, Path], recipes: Sequence[Recipe]
    ) -> tuple[dict[str, Path], dict[str, tuple[str, Recipe]]]:
        """Return forms in the recipes that they take: files, and forms and recipes."""
        made: dict[str, Path] = {}
        how: dict[str, tuple[str, Recipe]] = {}
        for recipe in recipes:
            if recipe.method == "static" and self._calibration is None:
                continue
            for form, source in sources.items():
                if recipe.method == "static" and not FORMS[form].is_portable:
                    continue  # onnxruntime quantizes its own Attention in dynamic form only
                name = f"{form}, {recipe.name}"
                file = self._graphs.shop / f"{form}-{recipe.name}.onnx"
                try:
                    self._quantize(source, file, recipe)
                except Exception as error:  # of onnxruntime's quantizer, for this graph
                    self._notes.append(f"int8 '{name}' is left out: {error}")
                    continue
                made[name], how[name] = file, (form, recipe)
        return made, how

    def _that_holds(
        self,
        ranking: Ranking,
        made: Mapping[str, Path],
        how: Mapping[str, tuple[str, Recipe]],
    ) -> tuple[str, list[str], ScoreRow | None]:
        """Return the candidate to keep, the layers that it keeps in fp32, and its score."""
        verdicts = {}
        for name in ranking.order:
            verdicts[name] = self._judge(made[name])
            if verdicts[name].fault is None:
                return name, [], verdicts[name].score
        name = max(ranking.order, key=lambda name: verdicts[name].points)
        form, recipe = how[name]
        source = self._graphs.proven(CHOSEN, form)[0]
        is_free = self._graphs.wish.embeddings == "auto"
        kept, verdict = keep_in_fp32(
            [*products(source), *([EMBEDDINGS] if is_free else [])],
            precision="int8",
            source=source,
            make=lambda keep: self._again(source, made[name], recipe, keep),
            judge=self._judge,
            fault=str(verdicts[name].fault),
            max_drop=self._graphs.wish.max_drop,
            rows=self._rows,
            pad_id=self._pad_id,
        )
        self._notes.append(
            f"int8 keeps in fp32, for its score: {', '.join(kept)}. Graphs and recipes were timed "
            "before that, with every layer in 8 bits."
        )
        return name, kept, verdict.score

    def _quantize(
        self, source: Path, target: Path, recipe: Recipe, keep: tuple[str, ...] = ()
    ) -> None:
        quantize(
            source,
            target,
            recipe,
            self._signs,
            keep=keep,
            calibration=self._calibration,
            pad_id=self._pad_id,
        )
        if self._graphs.wish.has_int8_rows("int8") and EMBEDDINGS not in keep:
            to_int8_rows(target, target)

    def _again(self, source: Path, target: Path, recipe: Recipe, keep: tuple[str, ...]) -> Path:
        self._quantize(source, target, recipe, keep)
        return target
