"""The ONNX files that one path stands for, exported first where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cofi_cli.config import ExportConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.digests import file_digest
from cofi_cli.runs.export_folder import EXPORT_JSON, is_fresh, record_of, renewing
from cofi_cli.runs.find import find_source
from cofi_cli.runs.records import DENSE, EXACT, MODEL, ExportedFile, LeftOut
from cofi_cli.runs.sizes import size_folders
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.providers import why_unserved

logger = logging.getLogger(__name__)

Exporter = Callable[[Path, ExportConfig], object]
"""Exports a source as it is asked to."""


def models_of(target: Path, exporter: Exporter) -> list[Model]:
    """Return what a path stands for, the pruned fp32 file first."""
    if target.is_file():
        return [_inspected(target)]
    if not target.exists():
        raise CofiError(
            f"'{target}' does not exist.",
            hint="Name a run, a model folder or an ONNX file.",
            exit_code=UNREACHABLE,
        )
    if (target / "model.onnx").is_file():
        if (command := renewing(target)) is not None:
            logger.warning(
                "%s is of other weights than its source has now. To export it again: %s",
                target,
                command,
            )
        return _exported(target)
    source = find_source(target)
    assert source.output is not None  # a folder always has one
    if not is_fresh(target, source.output):
        record = record_of(source.output)
        logger.info("Exporting %s first%s", target, ", as before" if record else "")
        exporter(target, record.asked if record else ExportConfig())
    return _exported(source.output)


def models_of_sizes(target: Path, exporter: Exporter) -> list[Model]:
    """Return what all sizes of a run stand for, the chosen one first; the dense model is its own.

    A size that was not exported is exported as the chosen one was, without a dense model.

    Raises:
        CofiError: it is not a finished run of several sizes.
    """
    run = RunDir(target)
    folders = size_folders(run)
    found = [replace(model, of=next(iter(folders))) for model in models_of(run.root, exporter)]
    record = record_of(run.onnx)
    alone = (record.asked if record else ExportConfig()).model_copy(update={"dense": False})

    def as_chosen(source: Path, _: ExportConfig) -> object:
        return exporter(source, alone)

    for name, size in list(folders.items())[1:]:
        own = (model for model in models_of(size.root, as_chosen) if not model.is_dense)
        found += [replace(model, of=name, family=run.onnx.resolve()) for model in own]
    return [replace(model, of=None) if model.is_dense else model for model in found]


def served(models: list[Model], provider: str, left_out: list[LeftOut]) -> list[Model]:
    """Return the models that a provider serves; why others are left out is added to a list."""
    kept = []
    for model in models:
        reason = why_unserved(provider, model.precision)
        if reason is None:
            kept.append(model)
            continue
        logger.info("%s is left out: %s.", model.path.name, reason)
        left_out.append(LeftOut(name=model.name, reason=reason))
    return kept


def _exported(folder: Path) -> list[Model]:
    """Return the files that an export folder's export.json names; model.onnx without one."""
    record = record_of(folder)
    if record is None:
        return [_inspected(folder / "model.onnx", family=folder, size=MODEL)]
    order = {(MODEL, EXACT): 0, (DENSE, EXACT): 1}
    models = []
    for row in sorted(
        record.models.values(),
        key=lambda row: (order.get((row.size, row.precision), 2), row.size != MODEL, row.file),
    ):
        path = folder / row.file
        if not path.is_file():
            logger.warning(
                "%s names %s, which is not there; left out.", folder / EXPORT_JSON, path.name
            )
        elif row.sha256 == file_digest(path):
            models.append(_inspected(path, row=row, family=folder))
        else:
            logger.warning(
                "%s is not the file that %s describes: it was changed or replaced since the "
                "export. Its record is ignored; cofi export writes both again.",
                path,
                EXPORT_JSON,
            )
            models.append(_inspected(path, family=folder, size=row.size))
    return models


def _inspected(
    path: Path,
    *,
    row: ExportedFile | None = None,
    family: Path | None = None,
    size: str | None = None,
) -> Model:
    return Model(
        name=path.stem,
        path=path,
        graph=inspect(path),
        stated=row.precision if row else None,
        form=row.graph if row else None,
        family=family.resolve() if family else None,
        size=row.size if row else size,
    )
