"""Questions on contexts, as SQuAD's JSON files and the hub's tables hold them.

Rajpurkar et al. (2016), *SQuAD: 100,000+ Questions for Machine Comprehension of Text*, and
Rajpurkar et al. (2018), *Know What You Don't Know*, whose version 2.0 adds questions that the
context does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cofi_cli.errors import CofiError
from cofi_cli.tasks.files.tables import parse_json, read_table, read_text
from cofi_cli.tasks.rows import Split

T = TypeVar("T")
Answers = list[tuple[str, int]]
"""Each answer's text, and the character of the context where it starts."""
Row = tuple[str, str, Answers | None, str]
"""Question, context, answers (``None``: not known, none: not answered), and its place."""

COLUMNS = ("question", "context", "answers")
_JSON = '{"data": [{"paragraphs": [{"context": ..., "qas": [{"question": ..., "answers": ...}]}]}]}'
_NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}


def read_questions(path: Path, *, unread: bool = False, may_lack: bool = False) -> Split:
    """Read SQuAD JSON, or a table with the columns of the hub's copy, by the file's extension.

    Args:
        path: ``.json``, or whatever :func:`~cofi_cli.tasks.files.tables.read_table` reads.
        unread: whether answers are not looked at.
        may_lack: whether the file may lack answers throughout.

    Raises:
        CofiError: not there (exit code 6), or faulty; names article, paragraph and question,
            or the line.
    """
    if path.suffix.lower() == ".json":
        rows = _squad_rows(path, unread=unread)
    else:
        table = read_table(path)
        for column in COLUMNS[: 2 if unread or may_lack else 3]:
            table.column(column, hint=f"Questions come as columns {', '.join(COLUMNS)}.")
        columns = {name: table.columns[name] for name in COLUMNS if name in table.columns}
        if unread:
            columns.pop("answers", None)
        rows = table_rows(columns, len(table), table.place)
    return to_split(rows, origin=str(path), may_lack=unread or may_lack)


def to_split(rows: Iterator[Row], *, origin: str, may_lack: bool = False) -> Split:
    """Collect rows.

    Raises:
        CofiError: there are none, or some lack answers.
    """
    texts: list[tuple[str, ...]] = []
    labels: list[Any] = []
    bare: str | None = None
    for question, context, answers, place in rows:
        texts.append((question, context))
        labels.append(answers)
        if answers is None and bare is None:
            bare = place
    if not texts:
        raise CofiError(f"{origin} has no questions.", hint=f"Expected is {_JSON}.")
    if bare is None:
        return Split(texts, labels)
    if may_lack and all(answers is None for answers in labels):
        return Split(texts, None)
    raise CofiError(
        f"{bare}: 'answers' is missing, or null.",
        hint='A question without an answer (SQuAD 2.0) has "answers": [].',
    )


def table_rows(
    columns: Mapping[str, Sequence[Any]], count: int, place: Callable[[int], str]
) -> Iterator[Row]:
    """Yield the rows of a table with the columns :data:`COLUMNS`, as the hub has them.

    Its answers are an object of two lists, ``text`` and ``answer_start``.

    Raises:
        CofiError: a cell of another kind, or an answer that does not stand in its context.
    """
    given = columns.get("answers") or [None] * count
    for row in range(count):
        here = place(row)
        question = _of(columns["question"][row], str, f"{here}: the question")
        context = _of(columns["context"][row], str, f"{here}: the context")
        yield question, context, _answers(given[row], context, here), here


def _squad_rows(path: Path, *, unread: bool) -> Iterator[Row]:
    whole = parse_json(read_text(path), str(path))
    hint = f"Expected is {_JSON}."
    for a, article in enumerate(_get(whole, "data", list, str(path), hint), start=1):
        place = f"{path}, article {a}"
        if isinstance(article, dict) and article.get("title"):
            place += f" ({article['title']})"
        for p, paragraph in enumerate(_get(article, "paragraphs", list, place, hint), start=1):
            above = f"{place}, paragraph {p}"
            context = _get(paragraph, "context", str, above, hint)
            for q, entry in enumerate(_get(paragraph, "qas", list, above, hint), start=1):
                here = f"{above}, question {_name(entry, q)}"
                question = _get(entry, "question", str, here, hint)
                given = None if unread else entry.get("answers")
                answers = _answers(given, context, here)
                _check_impossible(entry.get("is_impossible"), answers, here)
                yield question, context, answers, here


def _name(entry: Any, number: int) -> str:
    name = entry.get("id") if isinstance(entry, dict) else None
    return str(number) if name is None else f"'{name}'"


def _check_impossible(flag: Any, answers: Answers | None, place: str) -> None:
    if answers is not None and flag is not None and bool(flag) == bool(answers):
        raise CofiError(
            f"{place}: is_impossible is {str(flag).lower()}, but there are {len(answers)} answers.",
            hint="A question is impossible if and only if it has no answers.",
        )


def _answers(given: Any, context: str, place: str) -> Answers | None:
    """Return the answers after looking for each in its context."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        texts = _get(given, "text", list, f"{place}, answers")
        starts = _get(given, "answer_start", list, f"{place}, answers")
        if len(texts) != len(starts):
            raise CofiError(
                f"{place}: {len(texts)} answers, but {len(starts)} values of answer_start."
            )
    else:
        entries = _of(given, list, f"{place}: 'answers'")
        here = f"{place}, answers"
        texts = [_get(entry, "text", str, here) for entry in entries]
        starts = [_get(entry, "answer_start", int, here) for entry in entries]
    return [
        _checked(text, start, context, place) for text, start in zip(texts, starts, strict=True)
    ]


def _checked(text: Any, start: Any, context: str, place: str) -> tuple[str, int]:
    text = _of(text, str, f"{place}: an answer's text")
    start = _of(start, int, f"{place}: answer_start")
    if not text:
        raise CofiError(f"{place}: an answer is empty.", hint='No answer at all is "answers": [].')
    there = context[max(0, start) : max(0, start) + len(text)]
    if start < 0 or there != text:
        found = [i for i in range(len(context)) if context.startswith(text, i)]
        hint = "It stands nowhere in the context."
        if found:
            nearest = min(found, key=lambda i: abs(i - start))
            hint = f"The nearest place where it stands is {nearest}; count characters, not bytes."
        raise CofiError(
            f"{place}: the answer '{text}' does not stand at its answer_start {start}; "
            f"'{there}' does.",
            hint=hint,
        )
    return text, start


def _get(holder: Any, key: str, kind: type[T], place: str, hint: str | None = None) -> T:
    """Return ``holder[key]``, which must be of a type.

    Raises:
        CofiError: with the place and what is there instead.
    """
    if not isinstance(holder, Mapping):
        raise CofiError(f"{place} is not a JSON object with '{key}'.", hint=hint)
    if key not in holder:
        keys = ", ".join(map(str, holder)) or "none"
        raise CofiError(f"{place}: the key '{key}' is missing. Keys there: {keys}.", hint=hint)
    return _of(holder[key], kind, f"{place}: '{key}'")


def _of(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        shown = "null" if value is None else f"a {type(value).__name__}"
        raise CofiError(f"{what} is {shown}; expected is {_NAMES.get(kind, kind.__name__)}.")
    return value
