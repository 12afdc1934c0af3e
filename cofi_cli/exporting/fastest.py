"""The fp32 graph of a model that is fastest here, among those that are proven to be the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting import candidates
from cofi_cli.exporting.graphs.choice import Choice, Graphs
from cofi_cli.runs.records import Candidate, GpuParity, graph_name

OnGpu = Callable[[str, Path], GpuParity | None]
Found = tuple[Choice, GpuParity | None, list[Candidate]]
"""A graph, its parity on the GPU, and what was timed."""


def fastest(graphs: Graphs, name: str, on_gpu: OnGpu | None = None) -> Found:
    """Return a model's fastest graph, its parity on the GPU, and what was timed.

    Forms are timed whole, then the fastest of them in blocks of rows.

    Args:
        graphs: makes and proves them.
        name: of the model.
        on_gpu: compares a model's file there with torch; ``None`` leaves that out.

    Raises:
        CofiError: no graph is the torch model (exit code 4).
    """
    made, conditions = graphs.of_each_form(name), graphs.wish.conditions
    ranking = candidates.rank(made, conditions) if len(made) > 1 else None
    order, tied = (ranking.order, ranking.fastest) if ranking else (list(made), list(made))
    choices, in_blocks = graphs.in_blocks({form: made[form] for form in tied})
    others = [Choice(form, None, made[form]) for form in order if form != choices[-1].name]
    choice, parity = _first_proven(graphs, name, [*choices, *others], on_gpu)
    return choice, parity, [*(ranking.rows if ranking else []), *in_blocks]


def _first_proven(
    graphs: Graphs, name: str, choices: list[Choice], on_gpu: OnGpu | None
) -> tuple[Choice, GpuParity | None]:
    for choice in choices:
        try:
            file = graphs.proven(name, choice.name, choice.block)[0]
            return choice, None if on_gpu is None else on_gpu(name, file)
        except CofiError as error:
            if error.exit_code != PARITY or choice is choices[-1]:
                raise
            graphs.refuse(name, graph_name(choice.name, choice.block), error.message)
    raise AssertionError("there is always a choice")
