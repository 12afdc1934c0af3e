"""A model as it is: what the same model with fewer or narrower word vectors is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import Judge, lost
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.choice import CHOSEN, Wish
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.runs.records import ScoreRow

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask
    from cofi_cli.tasks import Task


def score_of(
    place: str,
    *,
    task: Task,
    conditions: Conditions,
    change: Callable[[CofiForTask], None] = lambda model: None,
) -> ScoreRow | None:
    """Return the score of a checkpoint as an fp32 graph.

    Args:
        place: of the checkpoint, with its tokenizer.
        task: that it is scored on.
        conditions: of the export.
        change: made to the model before, in place.
    """
    from cofi_cli.architectures import load_tokenizer

    model = load_model(place)
    change(model)
    with TemporaryDirectory(prefix="cofi-score-") as folder:
        file = Path(folder, f"{CHOSEN}.onnx")
        write_onnx(model, file, opset=18)
        judge = Judge(
            {},
            {},
            task=task,
            tokenizer=load_tokenizer(place),
            conditions=replace(conditions, provider="cpu"),
            notes=[],
            needs_provider=True,
        )
        return judge.score(file)


def check_against(score: ScoreRow | None, whole: ScoreRow, wish: Wish) -> None:
    """Refuse a model whose smaller table of word vectors costs too much.

    Args:
        score: of the fp32 file, in points.
        whole: of the same model as it is.
        wish: says how many points may be lost.

    Raises:
        CofiError: more is lost (exit code 4).
    """
    if score is None:
        return
    fault = lost(whole, score, max_drop=wish.max_drop, part_drops=wish.part_drops)
    if fault is not None:
        raise CofiError(
            f"With the smaller table of word vectors the model {fault}; with the whole one it "
            f"scores {whole.score:.2f}.",
            hint="Use a larger --vocab, --embedding-rank or --size, or allow more with --max-drop.",
            exit_code=PARITY,
        )
