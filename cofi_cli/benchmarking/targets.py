"""What a benchmark compares: from paths on the command line to named models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.export_record import (
    EXPORT_JSON,
    asked_of,
    graph_name,
    is_as_written,
    read_rows,
    renewing,
)
from cofi_cli.runs.find import find_source, run_of
from cofi_cli.runtime.inspection import inspect
from cofi_cli.runtime.model import Model
from cofi_cli.runtime.providers import why_unserved

logger = logging.getLogger(__name__)


DENSE = "dense"
"""What the names of dense files begin with: dense.onnx, dense_int8.onnx."""

Exporter = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Targets:
    """What is timed.

    Attributes:
        models: the baseline first.
        baseline: its name, ``None`` for a model alone.
        run: the run, when one run is the only target.
        judged: names of the models that thresholds apply to: neither dense nor torch
            nor the baseline that was asked for.
        left_out: name and reason of files that were not measured.
    """

    models: tuple[Model, ...]
    baseline: str | None
    run: RunDir | None
    judged: tuple[str, ...] = ()
    left_out: tuple[dict[str, str], ...] = ()

    def equal_baseline(self, model: Model) -> Model | None:
        """Return what a speedup at equal precision is stated against.

        The baseline, else the dense model of the same family, whichever has the
        model's precision and runtime; ``None`` where neither has, and for dense
        models themselves.
        """
        if model.is_dense or model.name == self.baseline:
            return None

        def is_equal(other: Model) -> bool:
            return (other.precision, other.runtime) == (model.precision, model.runtime)

        reference = [m for m in self.models if m.name == self.baseline]
        family = [m for m in self.models if m.is_dense and m.family == model.family is not None]
        return next(filter(is_equal, [*reference, *family]), None)


def resolve_targets(
    targets: Sequence[Path],
    *,
    baseline: Path | None,
    is_fresh: Callable[[Path, Path], bool],
    exporter: Exporter,
    provider: str = "cpu",
    torch: bool | None = False,
) -> Targets:
    """Turn runs, model folders and ONNX files into named models, exporting what is missing.

    What is not of the present weights is exported again, with the options of the time before.
    A run, or its export folder, stands for all files that its export.json names,
    ``dense.onnx`` being the baseline; another folder for its ``model.onnx``. As a
    ``baseline``, a run stands for its pruned model. With several targets and neither
    a run nor ``baseline``, the first is the baseline. Files that a folder implies and
    the provider cannot serve are left out; a file that was named itself is measured.

    Args:
        targets: paths, as given.
        baseline: what the others are compared with.
        is_fresh: whether an export holds what its source holds now.
        exporter: exports a source; takes what an earlier export of it was asked for.
        provider: the short name.
        torch: whether to add the checkpoints behind runs and model folders, in PyTorch;
            ``None``: those that are there.

    Raises:
        CofiError: nothing named, a path that does not exist, or nothing in it; no
            checkpoint where ``torch`` asks for some.
    """
    if not targets:
        raise CofiError("Nothing to benchmark.", hint="Name a run, a model folder or an ONNX file.")
    found: list[Model] = []
    first: Model | None = None
    left_out: list[dict[str, str]] = []
    if baseline is not None:
        first = _models(baseline, is_fresh, exporter)[0]
    for target in targets:
        own = _models(target, is_fresh, exporter)
        if not target.is_file():
            own = _served(own, provider, left_out)
        found += own
        dense = [model for model in own if model.is_dense and model.precision == "fp32"]
        if first is None and dense:
            first = dense[0]
    if first is None and len(found) > 1:
        first = found[0]
    unique = _once([*([first] if first else []), *found])
    if not unique:
        raise CofiError(
            f"Nothing that the provider '{provider}' serves is left to benchmark.",
            hint="Export another precision: cofi export --onnx --precision fp32.",
        )
    names = unique_names([model.path for model in unique])
    models = [replace(model, name=name) for name, model in zip(names, unique, strict=True)]
    if torch is not False:
        own = _checkpoints(targets, models, is_asked=bool(torch))
        if not own and torch:
            raise CofiError(
                "--torch times the checkpoints of a run or of a model folder, and no target "
                "is one.",
                hint="Name the run itself instead of its files, or leave --torch out.",
            )
        models += own
    compared = models[0].name if first and len(models) > 1 else None
    asked = compared if baseline is not None else None
    free = [m for m in models if m.runtime != "torch" and m.name != asked]
    judged = [m for m in free if not m.is_dense] or free
    only = RunDir(targets[0]) if len(targets) == 1 else None
    return Targets(
        models=tuple(models),
        baseline=compared,
        run=only if only is not None and only.is_finished else None,
        judged=tuple(model.name for model in judged),
        left_out=tuple(left_out),
    )


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return for each file the shortest tail of its path, suffix aside, that no other has."""
    # Links are not followed: in a hub's cache they lead to names that say nothing.
    parts = [path.absolute().with_suffix("").parts for path in paths]
    for depth in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _once(models: Sequence[Model]) -> list[Model]:
    """Return one model a file, however its folder was named: the one that an export tells of.

    A link to a file has a name of its own, and stays a model of its own.
    """
    found: dict[Path, Model] = {}
    for model in models:
        place = model.path.parent.resolve() / model.path.name
        if place not in found or model.family is not None:
            found[place] = model
    return list(found.values())


def _models(
    target: Path, is_fresh: Callable[[Path, Path], bool], exporter: Exporter
) -> list[Model]:
    """Return what a target stands for, the pruned fp32 file first."""
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
        asked = asked_of(source.output)
        logger.info("Exporting %s first%s", target, ", as before" if asked else "")
        exporter(target, **asked)
    return _exported(source.output)


def _exported(folder: Path) -> list[Model]:
    """Return the files that an export folder's export.json names; model.onnx without one."""
    named = read_rows(folder)
    run = run_of(folder)
    is_run_export = run is not None and run.onnx.resolve() == folder.resolve()
    implied = {
        key: {"file": f"{key}.onnx"} for key in ("model", *([DENSE] if is_run_export else []))
    }
    rows = implied | named
    models = []
    for key in sorted(rows, key=lambda key: (key != "model", key != DENSE)):
        path = folder / rows[key]["file"]
        if path.is_file():
            is_dense = key.split("_")[0] == DENSE
            row = rows[key]
            if not is_as_written(path, row):
                logger.warning(
                    "%s is not the file that %s describes: it was changed or replaced since the "
                    "export. What is said of it there is not used; cofi export writes it again.",
                    path,
                    EXPORT_JSON,
                )
                row = {}
            models.append(_inspected(path, row=row, family=folder, is_dense=is_dense))
        elif key in named:
            logger.warning(
                "%s names %s, which is not there; left out.", folder / EXPORT_JSON, path.name
            )
    return models


def _inspected(
    path: Path,
    *,
    row: dict[str, Any] | None = None,
    family: Path | None = None,
    is_dense: bool = False,
) -> Model:
    row = row or {}
    return Model(
        name=path.stem,
        path=path,
        graph=inspect(path),
        stated=row.get("precision"),
        form=graph_name(row) if "form" in row else None,
        family=family.resolve() if family else None,
        is_dense=is_dense,
    )


def _served(models: list[Model], provider: str, left_out: list[dict[str, str]]) -> list[Model]:
    kept = []
    for model in models:
        reason = why_unserved(provider, model.precision)
        if reason is None:
            kept.append(model)
            continue
        logger.info("%s is left out: %s.", model.path.name, reason)
        left_out.append({"name": model.name, "reason": reason})
    return kept


def _checkpoints(
    targets: Sequence[Path], models: Sequence[Model], *, is_asked: bool
) -> list[Model]:
    """Return the torch models behind the fp32 files of runs and model folders, dense first.

    Where nobody asked for them, a folder without its checkpoints has none.
    """
    found = []
    for target in targets:
        if target.is_file():
            continue
        run = run_of(target)
        if run is not None and target.resolve() not in (run.root, run.onnx.resolve()):
            run = None  # a model folder inside it is meant alone
        try:
            source = find_source(run.root if run is not None else target)
        except CofiError:
            if is_asked:
                raise
            continue
        assert source.output is not None  # a folder always has one
        family = source.output.resolve()
        for key, checkpoint in source.models.items():
            file = family / f"{key}.onnx"
            same = next((m for m in models if m.path.parent.resolve() / m.path.name == file), None)
            if same is None or not (is_asked or Path(checkpoint).is_dir()):
                continue
            torch_model = replace(
                same,
                name=f"torch/{same.name}",
                path=Path(checkpoint),
                stated="fp32",
                form=None,
                runtime="torch",
            )
            found.append(torch_model)
    once = {model.name: model for model in found}.values()
    return sorted(once, key=lambda model: not model.is_dense)
