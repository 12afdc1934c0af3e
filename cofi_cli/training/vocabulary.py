"""Training with a trimmed vocabulary: the model and its teacher lose the same pieces first.

They are trimmed before anything is trained, so that one tokenizer serves both, texts are encoded
once, and the student's vectors learn the splits that it will see. What the teacher loses is what
the longer splits of a few texts cost, and a teacher that the run trains learns on them as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from cofi_cli.architectures import load_tokenizer
from cofi_cli.runs import RunDir, read_json, records, write_atomic, write_json
from cofi_cli.tasks import Task
from cofi_cli.training.processes import Processes
from cofi_cli.vocabulary.checkpoint import needed_ids, write_trimmed
from cofi_cli.vocabulary.choice import choose
from cofi_cli.vocabulary.texts import texts_of

_FACTS = "vocabulary.json"


@dataclass(frozen=True)
class Vocabulary:
    """Where trimmed checkpoints lie.

    Attributes:
        folder: holds them by their numbers; ``None`` where nothing is trimmed.
        names: what they are made from.
        facts: as in export.json.
    """

    folder: Path | None = None
    names: tuple[str, ...] = ()
    facts: records.Vocabulary | None = None

    def place(self, name: str) -> str:
        """Return where a checkpoint is loaded from."""
        if self.folder is None or name not in self.names:
            return name
        return str(self.folder / str(self.names.index(name)))

    def kept_by(self, run: RunDir, processes: Processes) -> Vocabulary:
        """Copy the checkpoints to where a run keeps them for as long as it trains."""
        source, target = self.folder, _folder(run)
        if source is None or source == target:
            return self

        def copy() -> None:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, lambda temporary: _copy(source, temporary))

        processes.write(copy)
        return replace(self, folder=target)


@contextmanager
def trimmed_vocabulary(
    size: int | Literal["auto"] | None, models: Iterable[str], run: RunDir, task: Task
) -> Iterator[Vocabulary]:
    """Yield the trimmed checkpoints of a run, or none where the whole vocabulary is used.

    Args:
        size: pieces to keep.
        models: whose vocabulary it is; the first one's tokenizer is trimmed.
        run: keeps the checkpoints.
        task: whose texts choose the pieces.

    Raises:
        CofiError: hardly any text, too few pieces, a tokenizer that cannot be trimmed.
    """
    if size is None:
        yield Vocabulary()
        return
    names = tuple(dict.fromkeys(models))
    kept = _folder(run)
    if (kept / _FACTS).exists():
        facts = records.Vocabulary.model_validate(read_json(kept / _FACTS))
        yield Vocabulary(kept, names, facts)
        return
    needed = [place for name in names for place in needed_ids(name)]
    tokenizer = load_tokenizer(names[0])
    choice = choose(tokenizer, texts_of(task), size, needed=needed)
    with TemporaryDirectory(prefix="cofi-vocabulary-") as folder:
        for place, name in enumerate(names):
            write_trimmed(name, Path(folder, str(place)), choice.trimmed)
        write_json(Path(folder, _FACTS), choice.as_dict())
        facts = records.Vocabulary.model_validate(choice.as_dict())
        yield Vocabulary(Path(folder), names, facts)


def _folder(run: RunDir) -> Path:
    return run.checkpoints / "vocabulary"


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
