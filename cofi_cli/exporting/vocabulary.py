"""Models of a trimmed vocabulary in the place of those that are exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from cofi_cli.config import TaskConfig
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import Judge, lost
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.choice import CHOSEN, Wish
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.runs.records import ScoreRow, Vocabulary
from cofi_cli.tasks.files.file import Ask, File
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.vocabulary.checkpoint import needed_ids, write_trimmed
from cofi_cli.vocabulary.choice import choose
from cofi_cli.vocabulary.texts import texts_of

if TYPE_CHECKING:
    from cofi_cli.tasks import Task


@dataclass(frozen=True)
class Models:
    """What is exported.

    Attributes:
        places: file stem of the ONNX file -> folder or hub id of the checkpoint.
        vocabulary: what is known of a trimmed one, for export.json; ``None`` for the whole.
    """

    places: Mapping[str, str]
    vocabulary: Vocabulary | None = None


@contextmanager
def with_vocabulary(
    places: Mapping[str, str],
    *,
    vocab: int | Literal["auto"] | None,
    text: str | None,
    task: Task | None,
) -> Iterator[Models]:
    """Yield the models, with a trimmed vocabulary if one is asked for.

    They share a tokenizer, which is that of ``CHOSEN``, so all get the same pieces.

    Args:
        places: as in :class:`Models`.
        vocab: number of pieces, ``auto``, or ``None`` for the whole vocabulary.
        text: a file of texts that the pieces are chosen by, next to the task's training rows.
        task: whose rows they are.

    Raises:
        CofiError: nothing to choose by, too few pieces, a tokenizer that cannot be trimmed.
    """
    if vocab is None:
        yield Models(places)
        return
    from cofi_cli.architectures import load_tokenizer

    texts = texts_of(task)
    if text is not None:
        rows = KINDS["classification"].read(File(text), Ask(TaskConfig(), labels=())).split
        texts += [" ".join(row) for row in rows.texts]
    if not texts:
        raise CofiError(
            "There is no text to choose a vocabulary by: the model is not a run, and no task is "
            "named.",
            hint="Add --text FILE with one text a line, or --task TASK --data DIR.",
        )
    if task is not None and task.answers and task.kind.per_token:
        raise CofiError(
            f"The scores of task '{task.name}' are held against the teacher's answer to each "
            "token, which another vocabulary does not have.",
            hint="Leave --vocab out.",
        )
    choice = choose(load_tokenizer(places[CHOSEN]), texts, vocab, needed=needed_ids(places[CHOSEN]))
    with TemporaryDirectory(prefix="cofi-vocabulary-") as folder:
        own = {name: str(Path(folder, name)) for name in places}
        for name, place in places.items():
            write_trimmed(place, Path(own[name]), choice.trimmed)
        yield Models(own, Vocabulary.model_validate(choice.as_dict()))


def score_of(place: str, *, task: Task, conditions: Conditions) -> ScoreRow | None:
    """Return the score of a checkpoint as an fp32 graph, which trimmed ones are held against."""
    from cofi_cli.architectures import load_tokenizer

    with TemporaryDirectory(prefix="cofi-score-") as folder:
        file = Path(folder, f"{CHOSEN}.onnx")
        write_onnx(load_model(place), file, opset=18)
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


def check_trimmed(score: ScoreRow | None, whole: ScoreRow, wish: Wish) -> None:
    """Refuse a model whose trimmed vocabulary costs too much.

    Args:
        score: of the fp32 file, in points.
        whole: of the same model with its whole vocabulary.
        wish: says how many points may be lost.

    Raises:
        CofiError: more is lost (exit code 4).
    """
    if score is None:
        return
    fault = lost(whole, score, max_drop=wish.max_drop, part_drops=wish.part_drops)
    if fault is not None:
        raise CofiError(
            f"With the trimmed vocabulary the model {fault}; with the whole one it scores "
            f"{whole.score:.2f}.",
            hint="Use a larger --vocab, or allow more with --max-drop.",
            exit_code=PARITY,
        )
