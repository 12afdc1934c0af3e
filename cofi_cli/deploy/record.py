"""What an export folder says of its files: export.json, and whether the files are still those."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import read_json

EXPORT_JSON = "export.json"
_AGAIN = "Export it again: cofi export --onnx SOURCE."


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a folder's export.json by name, none where there is no such file.

    Raises:
        CofiError: it cannot be read, or its rows name no files (exit code 6).
    """
    path = folder / EXPORT_JSON
    if not path.is_file():
        return {}
    try:
        values = read_json(path)
    except CofiError as error:
        error.hint = _AGAIN
        raise
    rows = values.get("models", {}) if isinstance(values, dict) else None
    if not isinstance(rows, dict) or not all(
        isinstance(row, dict) and isinstance(row.get("file"), str) for row in rows.values()
    ):
        raise CofiError(
            f"{path} is not the record of an export: its 'models' do not name a file each.",
            hint=_AGAIN,
            exit_code=UNREACHABLE,
        )
    return rows


def file_digest(path: Path) -> str:
    """Return a file's sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def is_as_written(file: Path, row: dict[str, Any]) -> bool:
    """Whether a file is the one that its row was written for; true where no digest is known."""
    known = row.get("sha256")
    return known is None or known == file_digest(file)
