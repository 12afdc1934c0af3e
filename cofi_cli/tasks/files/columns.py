"""Which columns of a user's file are the texts and the label: those named, or the usual names."""

from __future__ import annotations

from collections.abc import Collection

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.file import Ask
from cofi_cli.tasks.files.labels import is_empty
from cofi_cli.tasks.files.tables import Table

PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("question", "sentence"),
    ("question", "context"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "answer"),
    ("query", "text"),
)
"""Sentence pairs, tried first, as a pair's columns can also look like a single text's."""
TEXTS = (
    *("text", "sentence", "content", "document", "review", "body", "comment", "message"),
    *("tweet", "utterance", "question", "query", "title", "headline"),
)
LABELS = (
    *("label", "labels", "class", "target", "category", "score", "gold_label", "sentiment"),
    *("intent", "topic", "rating", "similarity", "relevance"),
)

MOST_GROUPS = 50
"""Values of a column by which rows are told apart; one with more is a number, or a text."""
_TEXT_HINT = "Name the text column with --text COLUMN (twice for a sentence pair)."
_LIST_HINT = "A list of words a row, and one of their tags, is read with --kind tokens."
_LABEL_HINT = "Name the label column with --label COLUMN."


def text_columns(table: Table, config: TaskConfig) -> tuple[str, ...]:
    """Return the text column or columns: those that are named, or usual names, in any case.

    Raises:
        CofiError: a named column is not there, or none has a usual name; lists the columns.
    """
    for name in config.text:
        table.column(name, hint=_TEXT_HINT)
    if len(config.text) > 2:
        raise CofiError(
            f"task.text names {len(config.text)} columns: {', '.join(config.text)}. At most two."
        )
    if config.text:
        return config.text
    free = {name.lower(): name for name in reversed(table.columns) if name not in _named(config)}
    for names in (*PAIRS, *((name,) for name in TEXTS)):
        if all(name in free for name in names):
            return tuple(free[name] for name in names)
    has_lists = any(isinstance(values[0], list) for values in table.columns.values())
    raise _not_told(table, "text", _LIST_HINT if has_lists else _TEXT_HINT)


def label_columns(table: Table, ask: Ask, text: tuple[str, ...]) -> tuple[str, ...]:
    """Return the label column or columns: those named, a usual name, or the only one left.

    Args:
        table: the file.
        ask: may name them; where labels may lack, a column is not taken for being the only one.
        text: the text columns.

    Raises:
        CofiError: a named column is not there, or it is not clear; lists the columns.
    """
    named = _named(ask.config)
    for name in named if not ask.may_lack else ():
        table.column(name, hint=_LABEL_HINT)
    if named:
        return named
    others = [name for name in table.columns if name and name not in text]
    by_lower = {name.lower(): name for name in reversed(others)}
    usual = [by_lower[name] for name in LABELS if name in by_lower]
    if usual or ask.may_lack:
        return tuple(usual[:1])
    if len(others) != 1:
        raise _not_told(table, "label", _LABEL_HINT)
    return (others[0],)


def one_label(config: TaskConfig, what: str) -> str | None:
    """Return the label column that is named for a kind that has but one.

    Raises:
        CofiError: several are named.
    """
    named = _named(config)
    if len(named) > 1:
        raise CofiError(
            f"task.label names {len(named)} columns: {', '.join(named)}. "
            f"A {what} takes one; several are for --kind multilabel.",
        )
    return named[0] if named else None


def read_cells(table: Table, column: str) -> list[str]:
    """Return a column of texts.

    Raises:
        CofiError: the column is missing, or a cell holds no text; names its row.
    """
    values = table.column(column, hint=f"All files need the training file's column '{column}'.")
    for row, value in enumerate(values):
        is_blank = value is None or value != value  # NaN
        if is_blank or isinstance(value, list | dict):
            what = "empty" if is_blank else f"a {type(value).__name__}"
            raise CofiError(f"{table.place(row)}: the text (column '{column}') is {what}.")
    # JSON can hold half of a character, which no tokenizer takes.
    return [str(value).encode(errors="replace").decode() for value in values]


def read_texts(table: Table, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the texts of each row.

    Raises:
        CofiError: a column is missing, or a row holds no text; names the row.
    """
    rows = list(zip(*(read_cells(table, column) for column in columns), strict=True))
    for row, texts in enumerate(rows):
        if not any(text.strip() for text in texts):
            raise CofiError(
                f"{table.place(row)}: the text (column '{columns[0]}') is empty.",
                hint="Fill it in, or leave the row out.",
            )
    return rows


def telling_columns(table: Table, *, but: Collection[str]) -> dict[str, list[str]]:
    """Return the columns that sort rows into few groups, such as a language, as texts.

    Args:
        table: of any columns.
        but: names of its texts and labels.
    """
    found = {}
    for name, values in table.columns.items():
        if name in but or any(isinstance(value, list | dict) for value in values):
            continue
        texts = ["" if is_empty(value) else str(value).strip() for value in values]
        if len(set(texts)) <= MOST_GROUPS:
            found[name] = texts
    return found


def is_unlabelled(table: Table, columns: tuple[str, ...]) -> bool:
    """Whether there is no label column, or one is missing or empty in all rows."""
    return not columns or any(
        name not in table.columns or all(is_empty(v) for v in table.columns[name])
        for name in columns
    )


def _named(config: TaskConfig) -> tuple[str, ...]:
    return (config.label,) if isinstance(config.label, str) else config.label or ()


def _not_told(table: Table, what: str, hint: str) -> CofiError:
    columns = ", ".join(table.columns)
    return CofiError(
        f"{table.path}: which column is the {what}? Its columns: {columns}.", hint=hint
    )
