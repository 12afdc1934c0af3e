"""Token classification: built-in tasks and the user's own files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.config import SUFFIX_KINDS, TaskConfig
from cofi_cli.errors import UNREACHABLE, CofiError, did_you_mean
from cofi_cli.tasks.tags import PREFIXES, entities, iob2_tags, is_tag, kind_of, to_iob2
from cofi_cli.tasks.task import Split, Task
from cofi_cli.tasks.token_files import Sentences, read_sentences

logger = logging.getLogger(__name__)

METRICS = ("entity_f1", "precision", "recall", "accuracy")


@dataclass(frozen=True)
class TokenTask:
    """A built-in task.

    Attributes:
        kinds: types of entities in the order of the hub's tags.
        dataset, revision: on the hub; this branch has the data without a loading script.
    """

    kinds: tuple[str, ...]
    dataset: str
    revision: str = "refs/convert/parquet"


TOKEN_TASKS: Mapping[str, TokenTask] = {
    "conll2003": TokenTask(("PER", "ORG", "LOC", "MISC"), "eriktks/conll2003"),
    "wnut17": TokenTask(
        ("corporation", "creative-work", "group", "location", "person", "product"),
        "leondz/wnut_17",
    ),
}
STEMS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "eng.train", "wnut17train"),
    "validation": ("valid", "dev", "validation", "testa", "eng.testa", "emerging.dev"),
    "test": ("test", "testb", "eng.testb", "emerging.test"),
}
"""Split -> names of files, extension aside, the preferred first."""
_EXTENSIONS = ("", ".txt", ".tsv", *SUFFIX_KINDS, ".annotated", ".jsonl", ".parquet")
_LAYOUT = (
    "--data DIR needs train and dev (or valid) files, and may have test: .txt, .tsv, "
    f"{', '.join(SUFFIX_KINDS)}, .jsonl or .parquet."
)
_EXAMPLE = "For example: --train train.conll --validation dev.conll"


def load_builtin(config: TaskConfig) -> Task:
    """Load a built-in task from ``data``, a folder of column files, or from the hub.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in a file (which line).
    """
    assert config.name is not None
    spec = TOKEN_TASKS[config.name]
    if config.data is None:
        from cofi_cli.tasks.hub import load_splits

        found = load_splits(config.name, spec.dataset, revision=spec.revision, hint=_LAYOUT)
        files = {name: _from_hub(spec, config.name, name, rows) for name, rows in found.items()}
    else:
        paths = _find_files(Path(config.data))
        files = {
            name: read_sentences(
                path, text=config.text, label=_label(config), needs_tags=name != "test"
            )
            for name, path in paths.items()
        }
    return make_task(config.name, files, kinds=spec.kinds, max_length=config.max_length)


def _label(config: TaskConfig) -> str | None:
    """Return the tags' column.

    Raises:
        CofiError: several are named.
    """
    if isinstance(config.label, tuple):
        names = ", ".join(config.label)
        raise CofiError(f"task.label names {len(config.label)} columns: {names}. Tags are in one.")
    return config.label


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
            Path(path), text=config.text, label=_label(config), needs_tags=name != "test"
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
    return Task(name, "tokens", labels, METRICS, splits, max_length)


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


def _find_files(folder: Path) -> dict[str, Path]:
    """Return split -> file of a folder.

    Raises:
        CofiError: no such folder, or no training or validation file in it (exit code 6).
    """
    if not folder.is_dir():
        raise CofiError(f"No such folder: {folder}.", hint=_LAYOUT, exit_code=UNREACHABLE)
    found: dict[str, Path] = {}
    for split, stems in STEMS.items():
        names = [stem + extension for stem in stems for extension in _EXTENSIONS]
        path = next((p for name in names if (p := folder / name).is_file()), None)
        if path is not None:
            found[split] = path
        elif split != "test":
            there = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
            raise CofiError(
                f"{folder} has no {split} file. It holds: {there}.",
                hint=_LAYOUT,
                exit_code=UNREACHABLE,
            )
    return found


def _from_hub(spec: TokenTask, name: str, split: str, rows: Any) -> Sentences:
    """Turn one split of the hub's into sentences; tags are indices whose names it knows."""
    feature = getattr(rows.features["ner_tags"], "feature", None)
    names = getattr(feature, "names", None) or iob2_tags(spec.kinds)
    columns = rows[:]
    kept = [i for i, words in enumerate(columns["tokens"]) if words]
    words = [tuple(columns["tokens"][i]) for i in kept]
    tags = [
        [tag if isinstance(tag, str) else names[tag] for tag in columns["ner_tags"][i]]
        for i in kept
    ]
    lines = [[i + 1] * len(columns["tokens"][i]) for i in kept]
    return Sentences(Path(f"{name} ({split})"), words, tags, lines, unit="row")
