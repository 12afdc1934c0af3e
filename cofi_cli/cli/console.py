"""Where the command line writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table as RichTable

from cofi_cli.cli.launch import process_count, process_index
from cofi_cli.errors import CofiError

if TYPE_CHECKING:
    from cofi_cli.format import Table

_FILE_WIDTH = 200
"""Width in columns of a table that does not go to a terminal."""


def stdout() -> Console:
    """Return the console for results. It is made anew so that tests may replace sys.stdout."""
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def stderr() -> Console:
    """Return the console for progress, logs and errors."""
    width = None if sys.stderr.isatty() else _FILE_WIDTH
    return Console(file=sys.stderr, width=width, highlight=False)


def is_debug() -> bool:
    """Whether tracebacks and all logs are to be shown."""
    return os.environ.get("COFI_DEBUG", "0") not in ("", "0")


def prepare(*, quiet: bool = False) -> None:
    """Route our log to stderr and quieten the libraries below us.

    With ``--debug`` or ``COFI_DEBUG=1`` all logs are shown, those of the libraries as well. Call
    this before torch or transformers is imported.
    """
    debug = is_debug()
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    if process_index() > 0:
        level = logging.ERROR  # the first of several processes says it
    handler = RichHandler(
        console=stderr(), show_time=False, show_level=debug, show_path=False, markup=False
    )
    handler.setFormatter(_PlainText("%(message)s"))
    logger = logging.getLogger("cofi_cli")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)
    if debug:
        return
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


def replace_unknown() -> None:
    """Write ``?`` for characters that the encoding of stdout or stderr does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if callable(reconfigure):
            reconfigure(errors="replace")


_SHOWN = 3000
"""Characters of a message that are shown, about a screen of them."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, names a window or turns text around: all but tabs and line ends."""


def plain(text: str) -> str:
    """Return text of data and names that a terminal only shows, cut where it is very long."""
    if len(text) > _SHOWN:
        left = len(text) - _SHOWN
        text = f"{text[: _SHOWN - 300]} ... ({left:,} characters left out) ... {text[-300:]}"
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class _PlainText(logging.Formatter):
    """Shows what :func:`plain` leaves of a message."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def say(text: str, *, quiet: bool = False) -> None:
    """Write a line to stderr."""
    if not quiet:
        stderr().print(plain(text), markup=False, soft_wrap=True)


def show_error(error: CofiError) -> None:
    """Write an error and its hint to stderr."""
    console = stderr()
    who = f" in process {process_index()} of {process_count()}" if process_count() > 1 else ""
    console.print(f"[bold red]Error{who}:[/] {escape(plain(error.message))}", soft_wrap=True)
    if error.hint:
        console.print(f"[dim]Hint:[/] {escape(plain(error.hint))}", soft_wrap=True)


def show_tables(tables: Sequence[Table]) -> None:
    """Draw tables on stdout. Tables without rows are left out."""
    console = stdout()
    for table in tables:
        if not table.rows:
            continue
        drawn = RichTable(title=table.title, box=SIMPLE_HEAD, title_justify="left")
        for i, name in enumerate(table.columns):
            drawn.add_column(name, justify="right" if i else "left")
        for row in table.rows:
            drawn.add_row(*(escape(plain(cell)) for cell in row))
        console.print(drawn)


def show_lines(lines: Sequence[str]) -> None:
    """Write plain lines to stdout."""
    console = stdout()
    for line in lines:
        console.print(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", line), markup=False, soft_wrap=True)


def show_json(value: Any) -> None:
    """Write JSON, and nothing else, to stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")
    sys.stdout.flush()
