"""Question answering by name: SQuAD, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.builtin.folder import split_files
from cofi_cli.tasks.builtin.hub import load_splits
from cofi_cli.tasks.files.squad_json import read_questions, table_rows, to_split
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kinds.span import ANSWERED, KIND, NONE_NOTE, WITH_NONE, lacks_answers
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task


@dataclass(frozen=True)
class Squad:
    """A version of SQuAD.

    Attributes:
        dataset: the hub's name.
        version: as in the official files' names.
        metrics: the headline first.
        questions: of the official files, by split.
    """

    dataset: str
    version: str
    metrics: tuple[str, ...]
    questions: Mapping[str, int]

    def files(self, stem: str) -> tuple[str, ...]:
        """Return the names that a split's file may have, the preferred first."""
        return f"{stem}-v{self.version}.json", f"{stem}.json"


SQUAD = {
    "squad": Squad("rajpurkar/squad", "1.1", ANSWERED, {"train": 87_599, "validation": 10_570}),
    "squad_v2": Squad(
        "rajpurkar/squad_v2", "2.0", WITH_NONE, {"train": 130_319, "validation": 11_873}
    ),
}


def squad_task(config: TaskConfig) -> Task:
    """Load a version of SQuAD from ``data`` or the hub.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in the data.
    """
    assert config.name is not None
    spec = SQUAD[config.name]
    if config.data is not None:
        stems = {"train": "train", "validation": "dev"}
        wanted = {split: (*spec.files(stem), f"{stem}*.json") for split, stem in stems.items()}
        paths = split_files(Path(config.data), wanted, task=config.name, layout=_layout(spec))
        splits = {split: read_questions(path) for split, path in paths}
    else:
        found = load_splits(config.name, spec.dataset, hint=f"name a folder: {_layout(spec)}")
        splits = splits_from_hub(spec.dataset, found)
    if spec.metrics == ANSWERED and lacks_answers(splits):
        raise CofiError(
            f"Task '{config.name}' is SQuAD {spec.version}, where every question has an answer; "
            "in this data some have none.",
            hint="For such data: --task squad_v2",
        )
    counts = [
        f"The {split} split holds {len(splits[split]):,} questions; "
        f"all of SQuAD {spec.version} has {official:,}."
        for split, official in spec.questions.items()
        if len(splits[split]) != official
    ]
    return Task(
        name=config.name,
        kind=KIND,
        labels=(),
        metrics=spec.metrics,
        splits=splits,
        max_length=config.max_length,
        note=" ".join([*counts, *([NONE_NOTE] if spec.metrics == WITH_NONE else [])]),
        encoding=KIND.options(config),
    )


def splits_from_hub(dataset: str, found: Mapping[str, Any]) -> dict[str, Split]:
    """Turn the hub's splits into ours."""
    splits: dict[str, Split] = {}
    for name in ("train", "validation"):
        columns: dict[str, list[Any]] = found[name][:]
        origin = f"{dataset}, {name}"
        table = Table(Path(origin), columns, list(range(1, len(columns["question"]) + 1)), "row")
        splits[name] = to_split(table_rows(table), origin=origin)
    return splits


def _layout(spec: Squad) -> str:
    return f"--data DIR with {spec.files('train')[0]} and {spec.files('dev')[0]}, SQuAD's own files"
