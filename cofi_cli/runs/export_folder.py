"""An export folder: its record, whether it is of the present weights, how it is made again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shlex import quote

from cofi_cli.config import ExportConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs.digests import weights_digest
from cofi_cli.runs.find import find_source
from cofi_cli.runs.folder import RunDir
from cofi_cli.runs.records import BenchResult, ExportRecord

EXPORT_JSON = "export.json"
CARD = "README.md"


def record_of(folder: Path) -> ExportRecord | None:
    """Return the record of an export folder, ``None`` where it has none.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    path = folder / EXPORT_JSON
    return ExportRecord.read(path) if path.is_file() else None


def options_of(asked: ExportConfig) -> str:
    """Return what an export was asked for as options of the command, `` --batch 1,32`` say."""
    words = [""]
    defaults = ExportConfig()
    for key in ExportConfig.model_fields:
        value = getattr(asked, key)
        if value == getattr(defaults, key):
            continue
        flag = f"--{'no-' * (value is False)}{key.replace('_', '-')}"
        if key == "max_drop":
            words += [f"{flag} {quote(str(limit))}" for limit in value]
            continue
        words.append(flag)
        if isinstance(value, tuple):
            words.append(",".join(map(str, value)))
        elif not isinstance(value, bool):
            words.append(quote(str(value)))
    return " ".join(words)


def foreign_files(folder: Path) -> list[str]:
    """Name what lies in an export folder and was written by no export.

    Raises:
        CofiError: its export.json cannot be read (exit code 6).
    """
    record = record_of(folder)
    own = {EXPORT_JSON, CARD, *(record.files if record else ())}
    return sorted(path.name for path in folder.iterdir() if path.name not in own)


def is_fresh(source: Path | str, folder: Path) -> bool:
    """Whether an export folder holds what ``source`` holds now, by its weights' digests."""
    record = record_of(folder)
    if record is None:
        return False
    for size, checkpoint in find_source(source).models.items():
        if size in record.left_out:
            continue
        file = record.file_of(size)
        if file is None or not (folder / file.file).is_file():
            return False
        if file.weights_sha256 != weights_digest(checkpoint):
            return False
    return True


def current_bench(run: RunDir) -> BenchResult | None:
    """Return bench.json of a run; ``None`` where there is none, or it timed other files.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    if not run.bench.exists():
        return None
    bench = BenchResult.read(run.bench)
    return bench if are_as_timed(bench, run.onnx) else None


def are_as_timed(bench: BenchResult, folder: Path) -> bool:
    """Whether an export folder holds the files that a benchmark timed; true if this is unknown.

    Files of other folders that were timed beside them are left aside, unless all are.
    """
    try:
        record = record_of(folder)
    except CofiError:
        return True
    if record is None:
        return True
    stated = {file.file: file.sha256 for file in record.models.values()}
    rows = [row for row in bench.models if row.runtime != "torch" and row.sha256]
    own = [row for row in rows if Path(row.file).resolve().parent == folder.resolve()]
    names = {Path(row.file).name: row.sha256 for row in own or rows}
    return all(
        (folder / name).exists() and stated.get(name) in (None, digest)
        for name, digest in names.items()
    )


def renewing(folder: Path) -> str | None:
    """Return the command that exports a folder again, where its source has other weights by now.

    ``None`` where they are those of export.json, where that states none, and where the source
    is not at hand.
    """
    record = record_of(folder)
    if record is None:
        return None
    place = folder.parent if folder.name else folder.resolve().parent
    models = {file.size: file.source for file in record.models.values()}
    elsewhere = f" -o {quote(str(folder))}"
    with suppress(CofiError):
        found = find_source(place)
        if found.output is not None and found.output.resolve() == folder.resolve():
            models, elsewhere = dict(found.models), ""
    if elsewhere:
        place = Path(record.source)
    for size, checkpoint in models.items():
        file = record.file_of(size)
        now = weights_digest(checkpoint) if file and file.weights_sha256 else None
        if file and now is not None and now != file.weights_sha256:
            command = f"cofi export --onnx {quote(str(place))}"
            return f"{command}{elsewhere}{options_of(record.asked)}"
    return None
