"""Token classification from sentences: checked, kept as IOB2; and the user's own files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.columns import one_label
from cofi_cli.tasks.files.conll import Sentences, read_sentences
from cofi_cli.tasks.kinds.tokens import KIND
from cofi_cli.tasks.metrics.tags import PREFIXES, entities, iob2_tags, is_tag, kind_of, to_iob2
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

logger = logging.getLogger(__name__)

_EXAMPLE = "For example: --train train.conll --validation dev.conll"


def task_from_token_files(config: TaskConfig) -> Task:
    """Build a task from ``train``, ``validation`` and, if given, ``test``.

    The training file decides on the types of entities. A test file may lack tags.

    Raises:
        CofiError: a file is not given, not there (exit code 6), empty or faulty (which line).
    """
    assert config.train is not None
    if config.validation is None:
        raise CofiError("--train needs --validation FILE as well.", hint=_EXAMPLE)
    if config.data is not None:
        raise CofiError(
            "--data DIR is for built-in tasks; it does not go with --train.", hint=_EXAMPLE
        )
    paths = {"train": config.train, "validation": config.validation, "test": config.test}
    files = {
        name: read_sentences(
            Path(path), text=config.text, label=one_label(config.label), needs_tags=name != "test"
        )
        for name, path in paths.items()
        if path is not None
    }
    path = files["train"].path
    name = path.resolve().parent.name if path.stem.lower() == "train" else path.stem
    return make_task(name, files, max_length=config.max_length)


def make_task(
    name: str,
    files: Mapping[str, Sentences],
    *,
    max_length: int,
    kinds: tuple[str, ...] | None = None,
) -> Task:
    """Turn sentences into a task; tags of any scheme are read as entities and kept as IOB2.

    Args:
        name: of the task.
        files: split -> sentences.
        max_length: of a tokenised row; longer sentences become several.
        kinds: types of entities; ``None`` takes those of the training file, sorted.

    Raises:
        CofiError: a tag that is none, or of an unknown type; names its line.
    """
    for file in files.values():
        _check_tags(file)
    training = files["train"]
    known = f"the task '{name}'"
    if kinds is None:
        kinds = tuple(sorted({kind_of(t) for row in training.tags or () for t in row} - {""}))
        known = str(training.path)
    if not kinds:
        raise CofiError(
            f"{training.path} has no entity: every tag is O.",
            hint="Is the tag in another column? Name it: --label 2",
        )
    labels = iob2_tags(kinds)
    splits = {}
    for split, file in files.items():
        _check_kinds(file, kinds, known)
        splits[split] = Split(list(file.words), _indices(file, labels))
    return Task(name, KIND, labels, KIND.metrics, splits, max_length)


def _indices(file: Sentences, labels: tuple[str, ...]) -> list[Any] | None:
    if file.tags is None:
        return None
    index = {label: i for i, label in enumerate(labels)}
    written = [to_iob2(tags) for tags in file.tags]
    changed = sum(new != old for new, old in zip(written, file.tags, strict=True))
    if changed:
        logger.info("%s: the tags of %d sentences are rewritten as IOB2.", file.path, changed)
    return [[index[tag] for tag in tags] for tags in written]


def _check_tags(file: Sentences) -> None:
    for sentence, tags in enumerate(file.tags or ()):
        for word, tag in enumerate(tags):
            if not is_tag(tag):
                forms = ", ".join(f"{prefix}-TYPE" for prefix in PREFIXES)
                raise CofiError(
                    f"{file.place(sentence, word)}: '{tag}' is not a tag: O, {forms}.",
                    hint="The tag is taken from the last column; --label N names another. "
                    "Column files have no header.",
                )


def _check_kinds(file: Sentences, kinds: tuple[str, ...], known: str) -> None:
    for sentence, tags in enumerate(file.tags or ()):
        for kind, word, _ in entities(tags):
            if kind not in kinds:
                raise CofiError(
                    f"{file.place(sentence, word)}: {known} has no entity of type '{kind}' "
                    f"(tag '{tags[word]}').{did_you_mean(kind, kinds)} "
                    f"Types there: {', '.join(kinds)}.",
                    hint="Correct the tag, or add sentences with it to the training file.",
                )
