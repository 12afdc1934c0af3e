"""The section ``task`` of a run's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cofi_cli.config.section import Section

_KINDS = Path(__file__).parents[1] / "tasks" / "kinds"
KIND_NAMES = tuple(sorted(path.stem for path in _KINDS.glob("*.py") if path.stem != "__init__"))
"""Kinds of task: each file of the folder defines the one of its name."""
if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[KIND_NAMES]


class TaskConfig(Section):
    """What is learned: a built-in task by name, or the user's own files."""

    name: str | None = None
    """A built-in task. 'cofi presets --tasks' lists them."""
    data: str | None = None
    """Folder with the files of the built-in task (train and dev). Default: the hub."""
    train: str | None = None
    """Your own training rows: csv, tsv, jsonl or parquet; conll for tagged words, json for
    questions on a context, txt for plain texts."""
    validation: str | None = None
    """Rows that models are scored on during training, and that choose the best one."""
    test: str | None = None
    """Rows that are scored at the end. They choose nothing."""
    extra: str | None = None
    """More texts, without labels. The student learns from the teacher's answers to them."""
    text: tuple[str, ...] = ()
    """Text column. Give it twice for pairs. A column number, from 1, where the file has no
    header. Default: guessed from the columns."""
    label: str | tuple[str, ...] | None = None
    """Label column. Give it several times for one 0/1 column per label (multilabel). Default:
    guessed from the columns."""
    separator: str | None = None
    """Character between the labels of one cell (multilabel). ``none``: one label a cell. Default:
    found from the labels."""
    kind: KindName | None = None
    """Kind of task that your own files hold. Default: the kind that the file's extension or its
    labels show."""
    unlabelled: bool = False
    """Learn from the teacher and the texts alone. --train may be a .txt with one text per line."""
    max_length: int = Field(128, ge=4)
    """Longest row, in tokens. Default: the preset's."""
    doc_stride: int = Field(128, ge=0)
    """Tokens that neighbouring windows of a long context share, half a window at most (span)."""
