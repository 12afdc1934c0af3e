"""Tagged sentences from column files (CoNLL), or jsonl and parquet with lists; kept as IOB2."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.columns import one_label
from cofi_cli.tasks.files.tables import READERS, Table, read_table, read_text
from cofi_cli.tasks.metrics.tags import PREFIXES, iob2_tags, is_tag, kind_of, to_iob2
from cofi_cli.tasks.rows import Split

logger = logging.getLogger(__name__)

WORDS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "labels")
"""Columns of words and of tags in files with lists, the preferred first."""
DOCUMENT = "-DOCSTART-"
_LAYOUT = (
    "A column file has a word and its tag a line, with tabs or spaces between columns, a blank "
    "line after each sentence, and no header."
)


@dataclass(frozen=True)
class Sentences:
    """What one file holds.

    Attributes:
        path: where it came from.
        words: a sentence its words.
        tags: a sentence a tag for each word; ``None`` for a file without tags.
        lines: a sentence for each word its line (parquet: its row), counted from 1.
        unit: what ``lines`` counts: ``line`` or ``row``.
    """

    path: Path
    words: list[tuple[str, ...]]
    tags: list[list[str]] | None
    lines: list[list[int]]
    unit: str = "line"


def read_sentences(path: Path, config: TaskConfig, *, needs_tags: bool = True) -> Sentences:
    """Read a file of tagged words by its extension.

    Args:
        path: jsonl or parquet with lists; anything else, csv aside, is a column file.
        config: may name the columns of words and tags; in column files by numbers from 1, or
            negative ones from the last; by default the first and the last.
        needs_tags: whether a file without tags is a fault.

    Raises:
        CofiError: not there (exit code 6), empty, or a faulty line, which is named.
    """
    suffix, label = path.suffix.lower(), one_label(config, "tokens")
    if len(config.text) > 1:
        raise CofiError(f"task.text names {len(config.text)} columns; tagged words are in one.")
    text = next(iter(config.text), None)
    if suffix == ".csv":
        raise CofiError(
            f"{path}: tagged words are not read from csv.",
            hint=f"{_LAYOUT} Or use jsonl or parquet with the columns {WORDS[0]} and {TAGS[0]}.",
        )
    if suffix in READERS and suffix != ".tsv":
        return _from_lists(read_table(path), text, label, needs_tags=needs_tags)
    return _from_columns(path, text, label, needs_tags=needs_tags)


def _from_columns(
    path: Path, text: str | None, label: str | None, *, needs_tags: bool
) -> Sentences:
    blocks = list(_blocks(read_text(path)))
    if not blocks:
        raise CofiError(f"{path} has no rows.", hint=_LAYOUT)
    start, fields = blocks[0][0]
    count = len(fields)
    word_at = _column("text", text or "1", path, start, count)
    tag_at = _column("label", label or "-1", path, start, count)
    is_tagged = word_at != tag_at
    if needs_tags and not is_tagged:
        raise CofiError(f"{path}, line {start}: no column of tags beside the words.", hint=_LAYOUT)
    for line, fields in chain.from_iterable(blocks):
        if len(fields) != count:
            raise CofiError(
                f"{path}, line {line}: {_count(len(fields))}, but line {start} has {count}.",
                hint=_LAYOUT,
            )
        if not fields[word_at]:
            raise CofiError(f"{path}, line {line}: the word is empty.", hint=_LAYOUT)
    words = [tuple(fields[word_at] for _, fields in block) for block in blocks]
    tags = [[fields[tag_at] for _, fields in block] for block in blocks] if is_tagged else None
    return Sentences(path, words, tags, [[line for line, _ in block] for block in blocks])


def _blocks(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield sentences: each a list of line numbers and fields."""
    block: list[tuple[int, list[str]]] = []
    is_tabbed: bool | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        is_blank = not line.strip(" \t")
        if is_blank or line.split("\t")[0].split(" ")[0] == DOCUMENT:
            if block:
                yield block
            block = []
            continue
        if is_tabbed is None:
            is_tabbed = "\t" in line
        # Other characters that count as space can be words.
        fields = line.split("\t") if is_tabbed else line.replace("\t", " ").split(" ")
        block.append((number, [field.strip(" ") for field in fields if is_tabbed or field]))
    if block:
        yield block


def _column(what: str, value: str, path: Path, line: int, count: int) -> int:
    """Return the index of a column, given by its number from 1 or, negative, from the last."""
    try:
        number = int(value)
    except ValueError:
        number = 0
    if not 1 <= abs(number) <= count:
        raise CofiError(
            f"task.{what} is '{value}'; {path} has no column names, and line {line} has "
            f"{_count(count)}.",
            hint=f"Columns are numbered: --{what} 1 to --{what} {count}, or -1 for the last.",
        )
    return number - 1 if number > 0 else count + number


def _count(columns: int) -> str:
    return f"{columns} column" + ("" if columns == 1 else "s")


def _from_lists(
    table: Table, text: str | None, label: str | None, *, needs_tags: bool
) -> Sentences:
    path = table.path
    if not len(table):
        raise CofiError(f"{path} has no rows.")
    words_in = _pick(table, WORDS, text, what="text")
    tags_in: str | None = None
    if needs_tags or label in table.columns or any(name in table.columns for name in TAGS):
        tags_in = _pick(table, TAGS, label, what="label")
    words = [tuple(_strings(table, words_in, row)) for row in range(len(table))]
    lines = [[table.lines[row]] * len(sentence) for row, sentence in enumerate(words)]
    if tags_in is None:
        return Sentences(path, words, None, lines, table.unit)
    tags = [_strings(table, tags_in, row) for row in range(len(table))]
    for row, (sentence, own) in enumerate(zip(words, tags, strict=True)):
        if len(sentence) != len(own):
            raise CofiError(
                f"{table.place(row)}: {len(sentence)} words (column '{words_in}') and "
                f"{len(own)} tags (column '{tags_in}')."
            )
    return Sentences(path, words, tags, lines, table.unit)


def _pick(table: Table, names: tuple[str, ...], given: str | None, *, what: str) -> str:
    """Return the column that was named, or the first of the usual names."""
    hint = f"Name the column with --{what} COLUMN; usual are {', '.join(names)}."
    wanted = given or next((name for name in names if name in table.columns), names[0])
    table.column(wanted, hint=hint)
    return wanted


def _strings(table: Table, column: str, row: int) -> list[str]:
    value = table.columns[column][row]
    if not isinstance(value, list) or not value:
        what = "empty" if value is None or value == [] else f"a {type(value).__name__}"
        raise CofiError(
            f"{table.place(row)}: column '{column}' is {what}, and a list of strings is needed."
        )
    for item in value:
        if not isinstance(item, str) or not item:
            raise CofiError(
                f"{table.place(row)}: column '{column}' holds {item!r}, which is not a "
                f"{'string' if not isinstance(item, str) else 'word or tag'}.",
                hint="Tags are needed by name, such as B-person; words must not be empty.",
            )
    return list(value)


def tagged(
    file: Sentences, types: tuple[str, ...] | None, origin: str
) -> tuple[Split, tuple[str, ...]]:
    """Return sentences with the indices of their tags among :func:`iob2_tags` of the types.

    Tags of any scheme are read as entities and kept as IOB2.

    Args:
        file: the sentences.
        types: of entities; ``None`` takes those of the file, sorted.
        origin: where the types come from, for messages.

    Returns:
        The rows, and the types.

    Raises:
        CofiError: a tag that is none, or of a type that ``origin`` lacks (which line), or no
            entity at all to learn the types from.
    """
    if file.tags is None:
        return Split([*file.words], None), types or ()
    for line, tag in _tags(file):
        if not is_tag(tag):
            forms = ", ".join(f"{prefix}-TYPE" for prefix in PREFIXES)
            raise CofiError(
                f"{file.path}, {file.unit} {line}: '{tag}' is not a tag: O, {forms}.",
                hint="The tag is taken from the last column; --label N names another. "
                "Column files have no header.",
            )
    types = types or tuple(sorted({kind_of(tag) for _, tag in _tags(file)} - {""}))
    if not types:
        raise CofiError(
            f"{file.path} has no entity: every tag is O.",
            hint="Is the tag in another column? Name it: --label 2",
        )
    for line, tag in _tags(file):
        if (kind := kind_of(tag)) and kind not in types:
            raise CofiError(
                f"{file.path}, {file.unit} {line}: {origin} has no entity of type '{kind}' "
                f"(tag '{tag}').{did_you_mean(kind, types)} Types there: {', '.join(types)}.",
                hint="Correct the tag, or add sentences with it to the training file.",
            )
    index = {label: i for i, label in enumerate(iob2_tags(types))}
    written = [to_iob2(tags) for tags in file.tags]
    changed = sum(new != old for new, old in zip(written, file.tags, strict=True))
    if changed:
        logger.info("%s: the tags of %d sentences are rewritten as IOB2.", file.path, changed)
    return Split([*file.words], [[index[tag] for tag in tags] for tags in written]), types


def _tags(file: Sentences) -> Iterator[tuple[int, str]]:
    """Yield the line of each tag, and the tag."""
    return zip(chain.from_iterable(file.lines), chain.from_iterable(file.tags or ()))
