"""Read csv, tsv, jsonl and parquet into columns; every fault names its file and line."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError


@dataclass(frozen=True)
class Table:
    """Columns of one file.

    Attributes:
        path: where it came from.
        columns: column name -> values, in the file's order; all equally long.
        lines: for each row its line in the file (parquet: its row), counted from 1.
        unit: what ``lines`` counts: ``line`` or ``row``.
    """

    path: Path
    columns: dict[str, list[object]]
    lines: list[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return ``FILE, line N`` of a row counted from 0."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def column(self, name: str, *, hint: str) -> list[object]:
        """Return a column.

        Raises:
            CofiError: there is none of this name; the ones there are get listed.
        """
        if name not in self.columns:
            raise CofiError(
                f"{self.path} has no column '{name}'. Its columns: {', '.join(self.columns)}.",
                hint=hint,
            )
        return self.columns[name]


def read_text(path: Path) -> str:
    """Read a UTF-8 file; a byte-order mark is dropped.

    Raises:
        CofiError: no such file or not readable (exit code 6), or not UTF-8 (which line).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise CofiError(
            f"Cannot read {path}: {error.strerror or error}.", exit_code=UNREACHABLE
        ) from error
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise CofiError(
            f"{path} is UTF-16, not UTF-8.",
            hint=f"Convert it, for example: iconv -f utf-16 -t utf-8 {path} > utf8{path.suffix}",
        )
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # line ends of long ago
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # ``error.object`` may lack the byte-order mark, so lines are counted in it.
        line = bytes(error.object).count(b"\n", 0, error.start) + 1
        raise CofiError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8.",
            hint=f"Convert it, for example: iconv -f latin1 -t utf-8 {path} > utf8{path.suffix}",
        ) from error


def _missing(path: Path) -> CofiError:
    return CofiError(
        f"No such file: {path}.",
        hint="Check the path; it is taken from the folder where the command runs.",
        exit_code=UNREACHABLE,
    )


def parse_json(text: str, place: str) -> Any:
    """Read JSON text; ``place`` is where it stands, for messages.

    Raises:
        CofiError: not valid.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise CofiError(f"{place} is not valid JSON: {error}.") from error


def tsv_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Split a TSV without quoting (a quote character is text), as GLUE's files are meant.

    Yields:
        The line's number from 1 and its fields; blank lines are left out.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r").split("\t")


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read a CSV, whose fields may be quoted, as :func:`tsv_lines` splits a TSV."""
    text = read_text(path)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # long texts are fine
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise CofiError(
            f"{path}, line {start}: not valid CSV: {error}.",
            hint="A field with quotes needs them doubled, and is closed by one; a file without "
            "quoting is better named .tsv, with tabs.",
        ) from error


def _delimited(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Table:
    first, names = next(rows, (0, []))
    header = [name.strip() for name in names]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise CofiError(f"{path}, line {first}: the column '{twice}' is there twice.")
    columns: dict[str, list[object]] = {name: [] for name in header}
    numbers: list[int] = []
    for number, fields in rows:
        if len(fields) != len(header):
            raise CofiError(
                f"{path}, line {number}: {len(fields)} fields, but the header has "
                f"{len(header)}: {', '.join(header)}."
            )
        numbers.append(number)
        for values, value in zip(columns.values(), fields, strict=True):
            values.append(value)
    return Table(path, columns, numbers)


def _jsonl(path: Path) -> Table:
    """Read one JSON object a line; a key that a line lacks is ``None`` there."""
    records: list[dict[str, object]] = []
    numbers: list[int] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        record = parse_json(line, f"{path}, line {number}")
        if not isinstance(record, dict):
            raise CofiError(
                f"{path}, line {number} is not a JSON object such as "
                '{"text": "...", "label": "..."}.'
            )
        records.append(record)
        numbers.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    return Table(path, {name: [r.get(name) for r in records] for name in names}, numbers)


def _parquet(path: Path) -> Table:
    """Read a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise _missing(path)
    try:
        schema = pq.read_schema(path)
        names = schema.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CofiError(f"{path}: the column '{twice}' is there twice.")
        _guard_size(path, pq.read_metadata(path))
        columns = pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise CofiError(f"{path} is not a readable parquet file: {error}.") from error
    for field in schema:
        if "binary" in str(field.type):
            columns[field.name] = _decoded(columns[field.name], path, field.name)
    length = len(next(iter(columns.values()), []))
    return Table(path, columns, list(range(1, length + 1)), unit="row")


_CELL = 64
"""Bytes that a value takes in Python, about; at least 8 where rows share one."""


def _guard_size(path: Path, facts: Any) -> None:
    """Refuse a file that unpacks to more than memory holds: a few kilobytes may state terabytes.

    Raises:
        CofiError: with both sizes (exit code 6).
    """
    import psutil

    groups = (facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    needed = sum(groups) + _CELL * facts.num_rows * facts.num_columns
    free = psutil.virtual_memory().available
    if needed > free:
        raise CofiError(
            f"{path} holds {facts.num_rows:,} rows of {facts.num_columns} columns, which need "
            f"about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            hint="Write fewer rows, and only the columns that are read.",
            exit_code=UNREACHABLE,
        )


def _decoded(values: list[Any], path: Path, column: str) -> list[Any]:
    """Return text for bytes, which some writers have instead, lists of words among them."""

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(item) for item in value]
        return value.decode() if isinstance(value, bytes) else value

    decoded: list[Any] = []
    for row, value in enumerate(values, start=1):
        try:
            decoded.append(decode(value))
        except UnicodeDecodeError as error:
            raise CofiError(
                f"{path}, row {row}: column '{column}' holds bytes that are not UTF-8: {error}."
            ) from error
    return decoded


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": lambda path: _delimited(path, _csv_lines(path)),
    ".tsv": lambda path: _delimited(path, tsv_lines(read_text(path))),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


_HINTS = {
    ".json": "SQuAD's JSON is read with --kind span.",
    ".txt": "Texts alone: --kind embedding, --kind encoder, or --teacher DIR --unlabelled.",
}


def read_table(path: Path) -> Table:
    """Read a file by its extension.

    Raises:
        CofiError: an extension that is not among :data:`READERS`, or a fault in the file.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CofiError(
            f"{path}: cannot read files of type '{path.suffix or 'none'}'. "
            f"Choices: {', '.join(READERS)}.",
            hint=_HINTS.get(path.suffix.lower()),
        )
    return reader(path)
