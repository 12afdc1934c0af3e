"""One of the user's files, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.tables import Table, read_table, read_text
from cofi_cli.tasks.rows import Split

PLAIN = ".txt"
"""One text a line, without labels."""
TEACHERS = "the teacher's labels"


class File:
    """A file, opened when it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.suffix = self.path.suffix.lower()
        self.is_plain = self.suffix == PLAIN

    @cached_property
    def table(self) -> Table:
        """Its columns.

        Raises:
            CofiError: no such file (exit code 6), not a table, a fault in it, or no rows.
        """
        table = read_table(self.path)
        if not len(table):
            raise CofiError(f"{self.path} has no rows.", hint="A file needs a row at least.")
        return table

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, those that hold only spaces left out.

        Raises:
            CofiError: no such file (exit code 6), not UTF-8, or no lines.
        """
        found = [line.strip() for line in read_text(self.path).split("\n")]
        found = [line for line in found if line]
        if not found:
            raise CofiError(f"{self.path} has no texts.", hint="It needs one text a line.")
        return found


@dataclass(frozen=True)
class Labels:
    """The labels of a file.

    Attributes:
        values: as :class:`~cofi_cli.tasks.rows.Split` holds them.
        names: in the order of their indices; empty for numbers.
        how: what the labels of further files are read by, such as a separator.
        note: what a reader of the scores must know.
    """

    values: list[Any] | None
    names: tuple[str, ...] = ()
    how: Any = None
    note: str = ""


@dataclass(frozen=True)
class FileRows:
    """The rows of a file, and how the further files of its task are read.

    Attributes:
        split: the rows.
        origin: where the names of the labels come from.
        text, label: columns.
        labels: what is known of the labels.
    """

    split: Split
    origin: str = ""
    text: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    labels: Labels = Labels(None)


@dataclass(frozen=True)
class Ask:
    """How a file is read.

    Attributes:
        config: may name columns.
        labels: the names that a teacher gives the labels; ``None`` learns them from the file or
            takes those of ``like``; ``()`` leaves labels unread.
        like: a file that was read before, whose columns and labels this one shares.
        may_lack: whether a file without labels will do.
    """

    config: TaskConfig
    labels: tuple[str, ...] | None = None
    like: FileRows | None = None
    may_lack: bool = False

    @property
    def is_bare(self) -> bool:
        """Whether labels are left unread."""
        return self.labels == ()

    @property
    def takes_plain(self) -> bool:
        """Whether a .txt serves, which has no labels."""
        return self.is_bare or self.may_lack

    @property
    def known(self) -> Labels | None:
        """What is known of the labels before the file is opened."""
        if self.like is not None:
            return self.like.labels
        return Labels(None, self.labels) if self.labels else None

    def origin(self, path: Path) -> str:
        """Where the names of the labels come from, for a file at ``path``."""
        if self.like is not None:
            return self.like.origin
        return TEACHERS if self.labels else str(path)
