"""Which columns of a user's file are the text and the label: as told, or a good guess."""

from __future__ import annotations

from cofi_cli.errors import CofiError
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
    *(
        "text",
        "sentence",
        "content",
        "document",
        "review",
        "body",
        "comment",
        "message",
    ),
    *("tweet", "utterance", "question", "query", "title", "headline"),
)
LABELS = (
    *(
        "label",
        "labels",
        "class",
        "target",
        "category",
        "score",
        "gold_label",
        "sentiment",
    ),
    *("intent", "topic", "rating", "similarity", "relevance"),
)

_DELIMITERS = ("\t", ";", "|", ",")
_TEXT_HINT = "Name the text column with --text COLUMN (twice for a sentence pair)."
_LIST_HINT = "A list of words a row, and one of their tags, is read with --kind tokens."
_LABEL_HINT = "Name the label column with --label COLUMN."


def choose_columns(
    table: Table, text: tuple[str, ...], label: str | None
) -> tuple[tuple[str, ...], str]:
    """Return the text column or columns, and the label column.

    A guess ignores case. Failing the known names, a file of two columns has one text and one
    label, and either is clear once the other is.

    Args:
        table: the training file.
        text: what the user named; empty means guess.
        label: what the user named; ``None`` means guess.

    Raises:
        CofiError: a named column is not there, or there is no good guess; lists the columns.
    """
    _check_named(table, text)
    is_guess = label is None
    if label is not None:
        table.column(label, hint=_LABEL_HINT)
    by_lower = {name.lower(): name for name in reversed(table.columns)}
    free = {lower: name for lower, name in by_lower.items() if name not in (*text, label)}
    if label is None:
        label = next((free.pop(name) for name in LABELS if name in free), None)
    if not text:
        text = _guess_text(table, free)
    if label is None and text:
        others = [name for name in table.columns if name and name not in text]
        label = others[0] if len(others) == 1 else None
    if not text:
        has_lists = any(isinstance(v[0], list) for v in table.columns.values() if v)
        raise _no_guess(table, "text", _LIST_HINT if has_lists else _TEXT_HINT)
    if label is None:
        raise _no_guess(table, "label", _LABEL_HINT)
    if is_guess and label.lower() not in LABELS:
        _check_header(table, label)
    return text, label


def _check_header(table: Table, label: str) -> None:
    """Refuse a row that was taken for the header: its label is one of the rows', or a number."""
    rows = {str(value).strip() for value in table.columns[label]}
    if label in rows or not _is_text(label):
        raise _no_header(table, "--text and --label")


def _no_header(table: Table, flags: str) -> CofiError:
    return CofiError(
        f"{table.path} has no header: its first line, {', '.join(table.columns)}, "
        "looks like a row.",
        hint="Put the columns' names into the first line, such as text and label; or name "
        f"the columns as they are with {flags}.",
    )


def one_label(label: str | tuple[str, ...] | None) -> str | None:
    """Return the label column of a task that has but one.

    Raises:
        CofiError: several are named.
    """
    if isinstance(label, tuple):
        raise CofiError(
            f"task.label names {len(label)} columns: {', '.join(label)}. This kind of task has one."
        )
    return label


def choose_texts(
    table: Table, text: tuple[str, ...], *, but: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the text column or columns alone; no other column is looked into.

    Args:
        table: the file.
        text: what the user named; empty means guess, by the columns' names.
        but: columns that are something else.

    Raises:
        CofiError: a named column is not there, or there is no good guess; lists the columns.
    """
    _check_named(table, text)
    if text:
        return text
    free = {n.lower(): n for n in reversed(table.columns) if n not in but}
    for names in (*PAIRS, *((name,) for name in TEXTS)):
        if all(name in free for name in names):
            return tuple(free[name] for name in names)
    others = [name for lower, name in free.items() if lower not in LABELS]
    if len(others) != 1:
        raise _no_guess(table, "text", _TEXT_HINT)
    if len(table.columns) == 1 and " " in others[0]:
        raise _no_header(table, "--text")
    return (others[0],)


def _check_named(table: Table, text: tuple[str, ...]) -> None:
    for name in text:
        table.column(name, hint=_TEXT_HINT)
    if len(text) > 2:
        raise CofiError(f"task.text names {len(text)} columns: {', '.join(text)}. At most two.")


def _guess_text(table: Table, free: dict[str, str]) -> tuple[str, ...]:
    for pair in PAIRS:
        if all(name in free for name in pair):
            return tuple(free[name] for name in pair)
    for name in TEXTS:
        if name in free:
            return (free[name],)
    strings = [name for name in free.values() if all(_is_text(v) for v in table.columns[name])]
    return (strings[0],) if len(strings) == 1 else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not value.strip().lstrip("-").replace(".", "", 1).isdecimal()


def _no_guess(table: Table, what: str, hint: str) -> CofiError:
    columns = ", ".join(table.columns)
    if len(table.columns) == 1:
        delimiter = next((mark for mark in _DELIMITERS if mark in columns), None)
        if delimiter is not None:
            hint = (
                f"Columns seem to be separated by '{delimiter}': a .csv has commas, a .tsv tabs. "
                "Save the file with one of them."
            ).replace("\t", "\\t")
    return CofiError(
        f"{table.path}: which column is the {what}? Its columns: {columns}.", hint=hint
    )
