"""Models of a trimmed vocabulary in the place of those that are exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from cofi_cli.architectures import load_tokenizer
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.exporting.graphs.choice import CHOSEN
from cofi_cli.runs.records import Vocabulary
from cofi_cli.tasks import Task
from cofi_cli.tasks.files.file import Ask, File
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.vocabulary.checkpoint import needed_ids, write_trimmed
from cofi_cli.vocabulary.choice import choose
from cofi_cli.vocabulary.texts import texts_of


@dataclass(frozen=True)
class Models:
    """What is exported.

    Attributes:
        places: file stem of the ONNX file -> folder or hub id of the checkpoint.
        vocabulary: what is known of a trimmed one, for export.json; ``None`` for the whole.
    """

    places: Mapping[str, str]
    vocabulary: Vocabulary | None = None


def known_texts(file: str | None, task: Task | None) -> list[str]:
    """Return the texts that the word vectors are made smaller by.

    Args:
        file: more texts, one a line or in a column.
        task: whose training rows are used.
    """
    texts = texts_of(task)
    if file is not None:
        rows = KINDS["classification"].read(File(file), Ask(TaskConfig(), labels=())).split
        texts += [" ".join(row) for row in rows.texts]
    return texts


@contextmanager
def with_vocabulary(
    places: Mapping[str, str],
    *,
    vocab: int | Literal["auto"] | None,
    texts: Sequence[str],
    task: Task | None,
) -> Iterator[Models]:
    """Yield the models, with a trimmed vocabulary if one is asked for.

    They share a tokenizer, which is that of ``CHOSEN``, so all get the same pieces.

    Args:
        places: as in :class:`Models`.
        vocab: number of pieces, ``auto``, or ``None`` for the whole vocabulary.
        texts: that the pieces are chosen by (:func:`known_texts`).
        task: that the models are scored on.

    Raises:
        CofiError: nothing to choose by, too few pieces, a tokenizer that cannot be trimmed.
    """
    if vocab is None:
        yield Models(places)
        return
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
