"""The fp32 graphs of one export: each form traced once, proven to be the torch model, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.graphs import blocks
from cofi_cli.exporting.graphs.forms import FORMS, ON_GPU, SKIP, is_another, unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import check_parity
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import BY_LENGTH, MODEL, Candidate, GpuParity, Proof, graph_name
from cofi_cli.runtime.inputs import Rows

CHOSEN = MODEL
"""The size that is deployed. Others get the fastest graph of their own, in 8 bits in its recipe."""
MOST_IN_BLOCKS = 2
"""Graphs that are tried in blocks of rows."""


class Choice(NamedTuple):
    """A graph by its name, the tokens of its blocks of rows, if any, and its file."""

    name: str
    block: int | None
    file: Path


@dataclass(frozen=True)
class Wish:
    """What an export is asked for.

    Attributes:
        graph: ``auto``, or one of :data:`cofi_cli.exporting.graphs.forms.FORMS`.
        portable: standard ONNX operators only.
        conditions: what the files are to be fast at.
        max_drop: points of score that int8 may lose against fp32.
        part_drops: the same of parts of the rows, by name.
        opset, tolerance: of the graphs, and of their parity with torch.
        embeddings: how embedding tables are stored: ``fp32`` (in a file's own precision),
            ``int8``, or ``auto``: in int8 files as int8 if the score allows it.
    """

    graph: str
    portable: bool
    conditions: Conditions
    max_drop: float
    opset: int
    tolerance: float
    embeddings: str = "auto"
    part_drops: Mapping[str, float] = field(default_factory=dict)

    def has_int8_rows(self, precision: str) -> bool:
        """Whether files of a precision store their embedding tables as int8 rows."""
        return self.embeddings == "int8" or (self.embeddings == "auto" and precision == "int8")


OnGpu = Callable[[str, Path], GpuParity | None]
Found = tuple[Choice, GpuParity | None, list[Candidate]]
"""A graph, its parity on the GPU, and what was timed."""
Made = dict[tuple[str, str, int | None], tuple[Path, Proof]]
"""Graphs by their model's name, their form and the tokens of their blocks, with their proofs."""


class Graphs:
    """Makes graphs on demand and keeps them; whatever is made of one, it is traced once.

    Args:
        shop: folder that they lie in.
        models: file stem -> (checkpoint, model in eval mode).
        inputs: what parity is checked on, by the same names.
        wish: see :class:`Wish`.
        notes: what is left out and why is added here.
        pads_right: whether the tokenizer does.
        known: graphs of the same models that need not be made again.
    """

    def __init__(
        self,
        shop: Path,
        models: Mapping[str, tuple[str, CofiForTask]],
        inputs: Mapping[str, Rows],
        wish: Wish,
        notes: list[str],
        *,
        pads_right: bool = True,
        known: Made | None = None,
    ) -> None:
        self.shop, self.wish, self.pads_right = shop, wish, pads_right
        self._models, self._inputs, self._notes = models, inputs, notes
        self.made: Made = dict(known or {})
        self._refused: set[tuple[str, str]] = set()

    def proven(self, name: str, form: str, block: int | None = None) -> tuple[Path, Proof]:
        """Return a model's graph in a form, and the proof that it is the torch model's.

        Raises:
            CofiError: it is not (exit code 4).
        """
        if (name, form, block) not in self.made:
            model, wish = self._models[name][1], self.wish
            shown = f"{name}.onnx"
            if form != "plain" or block is not None:
                shown += f" (graph '{graph_name(form, block)}')"
            if block is None:
                file, provider = self.shop / f"{name}-{form}.onnx", wish.conditions.provider
                write_onnx(model, file, opset=wish.opset, form=form, provider=provider)
            else:
                file = self.shop / f"{name}-{form}-{block}.onnx"
                blocks.in_blocks(self.proven(name, form)[0], file, block)
            rows, tolerance = self._inputs[name], wish.tolerance
            proof = check_parity(model, file, rows, name=shown, tolerance=tolerance, block=block)
            self.made[name, form, block] = file, proof
        return self.made[name, form, block]

    def fastest(self, name: str, on_gpu: OnGpu | None = None) -> Found:
        """Return the graph of a model that is fastest here, of those that are proven to be it.

        Forms are timed whole, then the fastest of them in blocks of rows.

        Args:
            name: of the model.
            on_gpu: compares a model's file there with torch; ``None`` leaves that out.

        Raises:
            CofiError: no graph is the torch model (exit code 4).
        """
        made = self.of_each_form(name)
        ranking = candidates.rank(made, self.wish.conditions) if len(made) > 1 else None
        order, tied = (ranking.order, ranking.fastest) if ranking else (list(made), list(made))
        choices, in_blocks = self.in_blocks({form: made[form] for form in tied})
        timed = [*(ranking.rows if ranking else []), *in_blocks]
        choices += [Choice(form, None, made[form]) for form in order if form != choices[-1].name]
        for choice in choices:
            try:
                file = self.proven(name, choice.name, choice.block)[0]
                return choice, None if on_gpu is None else on_gpu(name, file), timed
            except CofiError as error:
                if error.exit_code != PARITY or choice is choices[-1]:
                    raise
                self.refuse(name, graph_name(choice.name, choice.block), error.message)
        raise AssertionError("there is always a choice")

    def of_each_form(self, name: str = CHOSEN) -> dict[str, Path]:
        """Return a model's graph in each form to try; one that is not proven is left out."""
        forms, made = self._forms(name), {}
        for form in forms:
            if (name, form) in self._refused:
                continue
            try:
                made[form] = self.proven(name, form)[0]
            except CofiError as error:
                if error.exit_code != PARITY or form == forms[0]:
                    raise
                self.refuse(name, form, error.message)
        return made

    def in_blocks(self, files: Mapping[str, Path]) -> tuple[list[Choice], list[Candidate]]:
        """Return in which graphs a large batch runs faster in blocks of rows, and the timings.

        Args:
            files: the graph that is fastest whole, then those as fast, of which the first few
                are tried, since blocks are not as much of a gain to each.

        Returns:
            What is faster than the first graph whole, the fastest first; in the end that graph.
        """
        conditions, first = self.wish.conditions, next(iter(files))
        choices = {first: Choice(first, None, files[first])}
        tried = self._sizes_of_blocks()
        if not tried:
            return [choices[first]], []
        for name, file in islice(files.items(), MOST_IN_BLOCKS):
            sizes = blocks.answer_sizes(file)
            for tokens in tried:
                shown = graph_name(name, tokens)
                choices[shown] = Choice(name, tokens, file.with_suffix(f".{tokens}.onnx"))
                blocks.in_blocks(file, choices[shown].file, tokens, sizes=sizes)
        ranking = candidates.rank({shown: own.file for shown, own in choices.items()}, conditions)
        order = ranking.order[: ranking.order.index(first) + 1]
        return [choices[shown] for shown in order], ranking.rows

    def _sizes_of_blocks(self) -> list[int]:
        """Return the tokens of blocks to try: none where the largest batch would be one block."""
        conditions = self.wish.conditions
        if self.wish.graph != "auto" or conditions.provider != "cpu" or max(conditions.batch) == 1:
            return []
        largest = max(conditions.batch) * max(conditions.seq_len)
        sizes = [tokens * conditions.threads for tokens in blocks.TOKENS]
        return [tokens for tokens in sizes if tokens < largest]

    def _forms(self, name: str) -> list[str]:
        """Return the forms of a model to try, the plainest first."""
        model = self._models[name][1]
        if self.wish.graph != "auto":
            if (why := unsupported(model, self.wish.graph)) is not None:
                raise CofiError(
                    f"Graph '{self.wish.graph}' does not fit this model: {why}.",
                    hint="Use --graph plain or --graph packed, or leave --graph out.",
                )
            return [self.wish.graph]
        wish, fitting = self.wish, []
        on_gpu = wish.conditions.provider == "cuda"
        for form in FORMS.values():
            is_tried = form.name in ON_GPU if on_gpu else form.name not in SKIP
            if not (form.is_portable if wish.portable else is_tried):
                continue
            why = unsupported(model, form.name)
            if form.name == BY_LENGTH and not self.pads_right:
                why = "the tokenizer does not pad on the right."
            if why is None and is_another(model, form.name):
                continue
            if why is None:
                fitting.append(form.name)
            elif (name, form.name) not in self._refused:
                self.refuse(name, form.name, f"{why}.")
        return fitting

    def is_refused(self, name: str, form: str) -> bool:
        """Return whether a form of a model was tried and left out."""
        return (name, form) in self._refused

    def refuse(self, name: str, form: str, why: str) -> None:
        """Try a form of a model no more, and note why; once where several models lack it."""
        self._refused.add((name, form))
        note = f"Graph '{form}' is left out: {why}"
        if note not in self._notes:
            self._notes.append(note)
