"""Questions on contexts, as SQuAD's JSON files and the hub's tables hold them.

Rajpurkar et al. (2016), *SQuAD: 100,000+ Questions for Machine Comprehension of Text*, and
Rajpurkar et al. (2018), *Know What You Don't Know*, whose version 2.0 adds questions that the
context does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from cofi_cli.errors import CofiError, fault_in
from cofi_cli.tasks.files.tables import Table, parse_json, read_table, read_text
from cofi_cli.tasks.rows import Split

M = TypeVar("M", bound=BaseModel)
Answers = list[tuple[str, int]]
"""Each answer's text, and the character of the context where it starts."""
Row = tuple[str, str, Answers | None, str]
"""Question, context, answers (``None``: not known, none: not answered), and its place."""

COLUMNS = ("question", "context", "answers")
_JSON = '{"data": [{"paragraphs": [{"context": ..., "qas": [{"question": ..., "answers": ...}]}]}]}'


class _Part(BaseModel):
    """A part of a file; keys that are not read here may be anything."""

    model_config = ConfigDict(strict=True)


class _Answer(_Part):
    text: Annotated[str, Field(min_length=1)]
    answer_start: int


_Answers = RootModel[list[_Answer]]


class _Columns(_Part):
    """The answers of a row as the hub has them."""

    text: list[Any]
    answer_start: list[Any]


class _Question(_Part):
    id: Any = None
    question: str
    answers: Any = None
    is_impossible: Any = None


class _Paragraph(_Part):
    context: str
    qas: list[_Question]


class _Article(_Part):
    title: Any = None
    paragraphs: list[_Paragraph]


class _Whole(_Part):
    data: list[_Article]


class _TableRow(_Part):
    question: str
    context: str


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
        rows = table_rows(table, unread=unread)
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


def table_rows(table: Table, *, unread: bool = False) -> Iterator[Row]:
    """Yield the rows of a table with the columns :data:`COLUMNS`, as the hub has them.

    Its answers are an object of two lists, ``text`` and ``answer_start``.

    Args:
        table: its answers may be missing.
        unread: whether they are not looked at.

    Raises:
        CofiError: a cell of another kind, or an answer that does not stand in its context.
    """
    given = None if unread else table.columns.get("answers")
    for row in range(len(table)):
        here = table.place(row)
        texts = {name: table.columns[name][row] for name in COLUMNS[:2]}
        own = _read(_TableRow, texts, here)
        answers = _answers(given[row], own.context, here) if given else None
        yield own.question, own.context, answers, here


def _squad_rows(path: Path, *, unread: bool) -> Iterator[Row]:
    whole = _read(_Whole, parse_json(read_text(path), str(path)), str(path))
    for a, article in enumerate(whole.data, start=1):
        place = f"{path}, article {a}" + (f" ({article.title})" if article.title else "")
        for p, paragraph in enumerate(article.paragraphs, start=1):
            for q, entry in enumerate(paragraph.qas, start=1):
                name = q if entry.id is None else f"'{entry.id}'"
                here = f"{place}, paragraph {p}, question {name}"
                answers = None if unread else _answers(entry.answers, paragraph.context, here)
                flag = entry.is_impossible
                if answers is not None and flag is not None and bool(flag) == bool(answers):
                    raise CofiError(
                        f"{here}: is_impossible is {str(flag).lower()}, but there are "
                        f"{len(answers)} answers.",
                        hint="A question is impossible if and only if it has no answers.",
                    )
                yield entry.question, paragraph.context, answers, here


def _read(kind: type[M], value: Any, place: str) -> M:
    """Return what a type makes of a value.

    Raises:
        CofiError: with the place and what is there instead.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise CofiError(f"{place}: {fault_in(error)}.", hint=f"Expected is {_JSON}.") from None


def _answers(given: Any, context: str, place: str) -> Answers | None:
    """Return the answers after looking for each in its context."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        both = _read(_Columns, given, f"{place}, answers")
        texts, starts = both.text, both.answer_start
        if len(texts) != len(starts):
            raise CofiError(
                f"{place}: {len(texts)} answers, but {len(starts)} values of answer_start."
            )
        given = [{"text": text, "answer_start": at} for text, at in zip(texts, starts)]
    found = _read(_Answers, given, f"{place}, answers").root
    return [_checked(own.text, own.answer_start, context, place) for own in found]


def _checked(text: str, start: int, context: str, place: str) -> tuple[str, int]:
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
