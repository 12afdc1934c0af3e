"""Agreement with a teacher: what is scored where there are texts and no labels.

It says how far a model answers as its teacher does, not how often either is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import write_atomic
from cofi_cli.tasks.encoded import Ragged
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.metrics.basic import finite

AGREEMENT = "agreement"
"""The metric's name."""


@dataclass(frozen=True)
class TeacherAnswers:
    """A teacher's outputs on a split, in its order.

    Attributes:
        outputs: (rows, num_labels), or rows of (length, num_labels).
    """

    outputs: NDArray[Any] | Ragged

    @classmethod
    def of(cls, outputs: NDArray[Any] | Ragged, kind: Kind) -> TeacherAnswers:
        """Return outputs in the precision in which a kind's are kept."""
        if isinstance(outputs, Ragged):
            flat = outputs.flat.astype(kind.kept_as, copy=False)
            return cls(Ragged.over(flat, outputs.lengths))
        return cls(outputs.astype(kind.kept_as, copy=False))

    def first(self, rows: int) -> TeacherAnswers:
        """Return those of the first rows."""
        outputs = self.outputs
        if isinstance(outputs, Ragged):
            kept = outputs.flat[: outputs.ends[rows]]
            return TeacherAnswers(Ragged.over(kept, outputs.lengths[:rows]))
        return TeacherAnswers(outputs[:rows])


def some_rows(
    outputs: Any, answers: TeacherAnswers, kept: NDArray[np.bool_]
) -> tuple[Any, TeacherAnswers]:
    """Return a model's outputs and a teacher's on some of the rows, (rows,)."""
    ours, theirs = (
        own.take(kept) if isinstance(own, Ragged) else np.asarray(own)[kept]
        for own in (outputs, answers.outputs)
    )
    return ours, TeacherAnswers(theirs)


def agreement(kind: Kind, outputs: Any, answers: TeacherAnswers) -> dict[str, float]:
    """Return the agreement of outputs with a teacher's, in points.

    Args:
        kind: of the task; its ``agreement`` says what is counted.
        outputs: of the model, as :meth:`Task.score` takes them.
        answers: of the teacher on the same rows.

    Raises:
        ValueError: the shapes differ, or an output is not finite.
    """
    ours, theirs = (o.flat if isinstance(o, Ragged) else o for o in (outputs, answers.outputs))
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if len(outputs) != len(answers.outputs) or ours.shape != theirs.shape:
        raise ValueError(
            f"The outputs have shape {ours.shape} in {len(outputs)} rows; "
            f"the teacher's have {theirs.shape} in {len(answers.outputs)}."
        )
    finite(ours, len(ours))
    if not isinstance(outputs, Ragged):
        return {AGREEMENT: 100.0 * kind.agree(ours.astype(np.float64), theirs.astype(np.float64))}
    return {AGREEMENT: 100.0 * kind.agree(outputs, answers.outputs)}


def save_answers(
    path: Path, answers: Mapping[str, TeacherAnswers], fingerprint: Mapping[str, str]
) -> None:
    """Write answers by split as .npz, with the fingerprints of the rows that they are for."""
    arrays: dict[str, Any] = {}
    for split, own in answers.items():
        outputs = own.outputs
        arrays[f"{split}.fingerprint"] = np.array(fingerprint[split])
        if isinstance(outputs, Ragged):
            arrays[f"{split}.lengths"] = outputs.lengths
            outputs = outputs.flat
        arrays[f"{split}.outputs"] = outputs

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)

    write_atomic(path, write)


def load_answers(path: Path, fingerprint: Mapping[str, str]) -> dict[str, TeacherAnswers]:
    """Read what :func:`save_answers` wrote.

    Raises:
        CofiError: it cannot be read, or is for other rows (exit code 6).
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = dict(found)
    except (OSError, ValueError) as error:
        raise CofiError(
            f"The teacher's answers in {path} cannot be read: {error}.",
            hint="They are written by cofi prune and cofi finetune with --unlabelled.",
            exit_code=UNREACHABLE,
        ) from error
    answers = {}
    for name, outputs in arrays.items():
        split, _, what = name.rpartition(".")
        if what != "outputs":
            continue
        if str(arrays[f"{split}.fingerprint"]) != fingerprint.get(split):
            raise CofiError(
                f"The teacher's answers in {path} are for other texts than the {split} rows now: "
                "the files have changed since the run.",
                hint="Restore them, or run again.",
                exit_code=UNREACHABLE,
            )
        lengths = arrays.get(f"{split}.lengths")
        answers[split] = TeacherAnswers(
            outputs if lengths is None else Ragged.over(outputs, lengths)
        )
    return answers
