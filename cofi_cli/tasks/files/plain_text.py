"""Texts alone, from files whose other columns are left unread."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.columns import choose_texts
from cofi_cli.tasks.files.conll import DOCUMENT, read_sentences
from cofi_cli.tasks.files.labelled import check_pair, read_rows, read_texts
from cofi_cli.tasks.files.tables import Table, parse_json, read_text
from cofi_cli.tasks.kind import Kind

Texts = list[tuple[str, ...]]

PLAIN = ".txt"
"""One text a line."""
BIO = (".bio", ".conll", ".iob", ".iob2")
"""A word a line, its tag in another column, blank lines between sentences."""
_TAG = re.compile(r"O|[BIESLU]-\S+")
WORDS = ("tokens", "words")
"""Columns of word lists, tried first for tagging."""


def read_text_rows(path: Path, kind: Kind, config: TaskConfig) -> Texts:
    """Return the texts of a file, a row as :class:`~cofi_cli.tasks.task.Split` holds it.

    Args:
        path: ``.txt`` with one text a line, or columns, of which the text's alone are read;
            for tagging also :data:`BIO` files, for spans also SQuAD's ``.json``.
        kind: of the task.
        config: names the text columns, where they are named.

    Raises:
        CofiError: not there (exit code 6), faulty (which line), or without rows.
    """
    suffix = path.suffix.lower()
    if _is_column_file(path, kind):
        rows = [*read_sentences(path, text=config.text, needs_tags=False).words]
    elif suffix == PLAIN:
        rows = _lines(path, kind)
    elif suffix in BIO and kind.name == "tokens":
        rows = [*read_sentences(path, text=config.text, needs_tags=False).words]
    elif suffix == ".json" and kind.name == "span":
        rows = _questions(path)
    else:
        rows = _columns(read_rows(path), kind, config)
    if not rows:
        raise CofiError(f"{path} has no texts.", hint="It needs one text a line, or a text column.")
    return rows


def may_be_labelled(path: Path, kind: Kind, config: TaskConfig) -> bool:
    """Whether a file has a place for labels: a column, tags beside the words, answers.

    Whether there is something in a column of rows is seen when it is read.
    """
    suffix = path.suffix.lower()
    if suffix == PLAIN and not _is_column_file(path, kind):
        return False
    if kind.name == "tokens":
        label = config.label if isinstance(config.label, str) else None
        own = read_sentences(path, text=config.text, label=label, needs_tags=False)
        return own.tags is not None
    if kind.name == "span":
        return (
            '"answers"' in read_text(path)
            if suffix == ".json"
            else ("answers" in read_rows(path).columns)
        )
    return True


def _is_column_file(path: Path, kind: Kind) -> bool:
    """Whether a .txt is a column file of tagged words, as CoNLL's are: each line ends in a tag."""
    if kind.name != "tokens" or path.suffix.lower() != PLAIN:
        return False
    lines = [line.split() for line in read_text(path).split("\n") if line.strip()]
    tagged = [line for line in lines if line[0] != DOCUMENT]
    widths = {len(line) for line in tagged}
    return len(widths) == 1 and max(widths) > 1 and all(_TAG.fullmatch(w[-1]) for w in tagged)


def _lines(path: Path, kind: Kind) -> Texts:
    if kind.name in ("ranking", "span"):
        what = "query and passage" if kind.name == "ranking" else "question and context"
        raise CofiError(
            f"{path}: a .txt holds one text a line; a {kind} task needs {what}.",
            hint="Give a file with both columns: csv, tsv, jsonl or parquet.",
        )
    lines = [line.strip() for line in read_text(path).split("\n")]
    return [tuple(line.split()) if kind.name == "tokens" else (line,) for line in lines if line]


def _columns(table: Table, kind: Kind, config: TaskConfig) -> Texts:
    if kind.name == "tokens":
        return _word_rows(table, config)
    text = config.text
    if kind.name == "span" and not text:
        text = ("question", "context")
    but = (config.label,) if isinstance(config.label, str) else config.label or ()
    columns = choose_texts(table, text, but=but)
    if kind.name == "ranking":
        check_pair(table, columns)
    return read_texts(table, columns)


def _word_rows(table: Table, config: TaskConfig) -> Texts:
    named = config.text or tuple(name for name in WORDS if name in table.columns)[:1]
    (column, *_) = choose_texts(table, named)
    rows: Texts = []
    for row, value in enumerate(table.columns[column]):
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise CofiError(
                f"{table.place(row)}: the text (column '{column}') is neither text nor a list of "
                "words."
            )
        if words:
            rows.append(tuple(words))
    return rows


def _questions(path: Path) -> Texts:
    """Return questions and contexts of SQuAD's JSON, answers unread."""
    whole = parse_json(read_text(path), str(path))
    try:
        return [
            (str(entry["question"]), str(paragraph["context"]))
            for article in whole["data"]
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        layout: Mapping[str, Any] = {"context": "...", "qas": [{"question": "..."}]}
        raise CofiError(
            f"{path} does not have SQuAD's layout: {error} is missing.",
            hint=f'Expected is {{"data": [{{"paragraphs": [{json.dumps(layout)}]}}]}}.',
        ) from error
