"""What an export folder says of its files: export.json, and whether the files are still those."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs.atomic import read_json
from cofi_cli.runs.find import find_source

EXPORT_JSON = "export.json"
BY_LENGTH = "fused-lengths"
"""The graph whose files take padding on the right only."""
DEFAULTS: dict[str, Any] = {
    "precision": "fp32",
    "graph": "auto",
    "portable": False,
    "provider": "cpu",
    "batch": [1],
    "seq_len": None,
    "threads": None,
    "max_drop": None,
    "opset": 18,
    "task": None,
    "data": None,
    "embeddings": "auto",
    "one_file": False,
    "vocab": None,
    "text": None,
    "max_length": None,
}
"""What an export is asked for where nothing is said, as export.json holds it."""
_WRITTEN = {EXPORT_JSON, "README.md", "config.json"} | {
    f"{model}{precision}.onnx"
    for model in ("model", "dense")
    for precision in ("", "_int8", "_fp16")
}
TOKENIZER = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
}
"""What transformers writes; a newer export.json names its files itself."""
_SETTLED_SECONDS = 5.0
_AGAIN = "Export it again: cofi export --onnx SOURCE."


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a folder's export.json by name, none where there is no such file.

    Raises:
        CofiError: it cannot be read, or its rows name no files (exit code 6).
    """
    path = folder / EXPORT_JSON
    values = _read(path)
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


def left_out(folder: Path) -> dict[str, str]:
    """Return the models that an export left out by their names, with the reasons.

    Raises:
        CofiError: its export.json cannot be read (exit code 6).
    """
    values = _read(folder / EXPORT_JSON)
    found = values.get("left_out") if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def asked_of(folder: Path) -> dict[str, Any]:
    """Return what an export was asked for, as arguments of its function ``export``.

    An older export.json holds some of it only; none is known where there is no such file.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    values = _read(folder / EXPORT_JSON)
    if not isinstance(values, dict):
        return {}
    asked = values.get("asked")
    if isinstance(asked, dict):
        return {key: value for key, value in asked.items() if key in DEFAULTS}
    known = {key: values[key] for key in ("precision", "opset") if key in values}
    conditions = values.get("conditions")
    return known | (conditions if isinstance(conditions, dict) else {})


def options_of(folder: Path) -> str:
    """Return what an export was asked for as options of the command, `` --batch 1,32`` say.

    Raises:
        CofiError: its export.json cannot be read (exit code 6).
    """
    words = [""]
    for key, value in asked_of(folder).items():
        if value == DEFAULTS[key]:
            continue
        words.append(f"--{key.replace('_', '-')}")
        if isinstance(value, list):
            words.append(",".join(map(str, value)))
        elif value is not True:
            words.append(quote(str(value)))
    return " ".join(words)


def foreign_files(folder: Path) -> list[str]:
    """Name what lies in an export folder and was written by no export.

    An export.json that cannot be read names nothing: a new export writes it again.
    """
    values, rows = {}, {}
    with suppress(CofiError):
        values, rows = _read(folder / EXPORT_JSON), read_rows(folder)
    named = values.get("files", TOKENIZER) if isinstance(values, dict) else ()
    own = {*_WRITTEN, *named, *(row["file"] for row in rows.values())}
    return sorted(path.name for path in folder.iterdir() if path.name not in own)


def _read(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except CofiError as error:
        error.hint = _AGAIN
        raise


def file_digest(path: Path) -> str:
    """Return a file's sha256; one that was read before and has not changed since is not again.

    One that was written a moment ago is: a second write would not show in its time.
    """
    facts = path.stat()
    if time.time() - facts.st_mtime < _SETTLED_SECONDS:
        return _digest.__wrapped__(path)
    return _digest(path, facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)


def files_digest(files: Sequence[Path]) -> str:
    """Return the sha256 of a file; of several that of their sha256, a line each."""
    digests = [file_digest(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.lru_cache(maxsize=256)
def _digest(path: Path, *facts: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def are_as_timed(bench: dict[str, Any], folder: Path) -> bool:
    """Whether an export folder holds the files that a bench.json timed; true where none can tell.

    Files of other folders that were timed beside them are left aside, unless all are.
    """
    stated = {row["file"]: row.get("sha256") for row in read_rows(folder).values()}
    if not stated:
        return True
    rows = [row for row in bench["models"] if row.get("runtime") != "torch" and row.get("sha256")]
    own = [row for row in rows if Path(row["file"]).resolve().parent == folder.resolve()]
    names = {Path(row["file"]).name: row["sha256"] for row in own or rows}
    return all(
        (folder / name).exists() and stated.get(name) in (None, digest)
        for name, digest in names.items()
    )


def is_as_written(file: Path, row: dict[str, Any]) -> bool:
    """Whether a file is the one that its row was written for; true where no digest is known."""
    known = row.get("sha256")
    return known is None or known == file_digest(file)


WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def weights_digest(name: str) -> str | None:
    """Return the sha256 of a local checkpoint's weights, ``None`` when it is not local."""
    for file in WEIGHTS:
        path = Path(name) / file
        if path.is_file():
            return file_digest(path)
    return None


def renewing(folder: Path) -> str | None:
    """Return the command that exports a folder again, where its source has other weights by now.

    ``None`` where they are those of export.json, where that states none, and where the source
    is not at hand.
    """
    rows = read_rows(folder)
    place = folder.parent if folder.name else folder.resolve().parent
    models = {name: row.get("source") for name, row in rows.items()}
    elsewhere = f" -o {quote(str(folder))}"
    with suppress(CofiError):
        found = find_source(place)
        if found.output is not None and found.output.resolve() == folder.resolve():
            models, elsewhere = dict(found.models), ""
    if elsewhere:
        place = Path(str(read_json(folder / EXPORT_JSON).get("source"))) if rows else place
    for name, checkpoint in models.items():
        stated = rows.get(name, {}).get("weights_sha256")
        now = weights_digest(checkpoint) if stated and checkpoint else None
        if now is not None and now != stated:
            return f"cofi export --onnx {quote(str(place))}{elsewhere}{options_of(folder)}"
    return None


def graph_name(row: Mapping[str, Any]) -> str:
    """Say which graph a row of export.json stands for: its form, and its blocks, if any."""
    block = row.get("block_tokens")
    return f"{row['form']}" + (f", blocks of {block} tokens" if block else "")
