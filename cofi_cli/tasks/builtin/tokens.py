"""The built-in tasks of token classification, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.tasks.builtin.folder import split_files
from cofi_cli.tasks.builtin.hub import load_splits
from cofi_cli.tasks.files.conll import Sentences, read_sentences, tagged
from cofi_cli.tasks.kinds.tokens import KIND
from cofi_cli.tasks.metrics.tags import iob2_tags
from cofi_cli.tasks.task import Task


@dataclass(frozen=True)
class TokenTask:
    """A built-in task.

    Attributes:
        kinds: types of entities in the order of the hub's tags.
        dataset: on the hub.
    """

    kinds: tuple[str, ...]
    dataset: str


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
_REVISION = "refs/convert/parquet"
"""The branch of a data set on the hub that needs no loading script."""
_EXTENSIONS = ("", ".txt", ".tsv", *KIND.suffixes, ".annotated", ".jsonl", ".parquet")
_LAYOUT = (
    "--data DIR needs train and dev (or valid) files, and may have test: .txt, .tsv, "
    f"{', '.join(KIND.suffixes)}, .jsonl or .parquet."
)


def load_builtin(config: TaskConfig) -> Task:
    """Load a built-in task from ``data``, a folder of column files, or from the hub.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in a file (which line).
    """
    assert config.name is not None
    spec = TOKEN_TASKS[config.name]
    if config.data is None:
        found = load_splits(config.name, spec.dataset, revision=_REVISION, hint=_LAYOUT)
        files = {name: _from_hub(spec, config.name, name, rows) for name, rows in found.items()}
    else:
        wanted = {
            split: [stem + extension for stem in stems for extension in _EXTENSIONS]
            for split, stems in STEMS.items()
        }
        paths = split_files(Path(config.data), wanted, task=config.name, layout=_LAYOUT)
        files = {
            name: read_sentences(path, config, needs_tags=name != "test") for name, path in paths
        }
    origin = f"the task '{config.name}'"
    splits = {name: tagged(file, spec.kinds, origin)[0] for name, file in files.items()}
    labels = iob2_tags(spec.kinds)
    return Task(config.name, KIND, labels, KIND.metrics, splits, config.max_length)


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
