"""What a benchmark compares: from paths on the command line to named ONNX files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.deploy.graph import Graph, inspect
from cofi_cli.deploy.source import find_source, run_of
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir

logger = logging.getLogger(__name__)

FALLBACK_VOCAB = 100
"""Ids below this are valid in any real vocabulary."""

Exporter = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """One ONNX file of a benchmark, under the name that its results carry."""

    name: str
    path: Path
    graph: Graph

    @property
    def vocab(self) -> int:
        """Random ids are drawn below this."""
        return self.graph.vocab or FALLBACK_VOCAB


@dataclass(frozen=True)
class Targets:
    """The files to time, the baseline first; ``run`` when one run is the only target."""

    models: tuple[Model, ...]
    baseline: str | None
    run: RunDir | None


def resolve_targets(
    targets: Sequence[Path],
    *,
    baseline: Path | None,
    is_fresh: Callable[[Path, Path], bool],
    exporter: Exporter,
) -> Targets:
    """Turn runs, model folders and ONNX files into named files, exporting what is missing.

    A run stands for its ``dense.onnx`` and ``model.onnx``, the dense one being the
    baseline; a folder for its ``model.onnx``. As a ``baseline``, a run stands for
    its pruned model. With several targets and neither a run nor ``baseline``, the
    first is the baseline.

    Raises:
        CofiError: nothing named, a path that does not exist, or nothing in it.
    """
    if not targets:
        raise CofiError("Nothing to benchmark.", hint="Name a run, a model folder or an ONNX file.")
    files: list[Path] = []
    first: Path | None = None
    if baseline is not None:
        first = _files(baseline, is_fresh, exporter)[0]
    for target in targets:
        own = _files(target, is_fresh, exporter)
        files += own
        if first is None and len(own) > 1:
            first = own[1]
    if first is None and len(files) > 1:
        first = files[0]
    ordered = list(dict.fromkeys([*([first] if first else []), *files]))
    names = unique_names(ordered)
    models = tuple(Model(n, f, inspect(f)) for n, f in zip(names, ordered, strict=True))
    only = RunDir(targets[0]) if len(targets) == 1 else None
    return Targets(
        models,
        names[0] if first and len(ordered) > 1 else None,
        only if only is not None and only.is_finished else None,
    )


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return for each file the shortest tail of its path, suffix aside, that no other has."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for depth in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _files(target: Path, is_fresh: Callable[[Path, Path], bool], exporter: Exporter) -> list[Path]:
    """Return the file that a target stands for, then its dense baseline if it has one."""
    if target.is_file():
        return [target]
    if not target.exists():
        raise CofiError(
            f"'{target}' does not exist.",
            hint="Name a run, a model folder or an ONNX file.",
            exit_code=UNREACHABLE,
        )
    if (target / "model.onnx").is_file():
        own_run = run_of(target)
        is_run_export = own_run is not None and own_run.onnx.resolve() == target.resolve()
        return _with_dense(target) if is_run_export else [target / "model.onnx"]
    source = find_source(target)
    assert source.output is not None  # a folder always has one
    if not is_fresh(target, source.output):
        logger.info("Exporting %s first", target)
        exporter(target)
    return _with_dense(source.output)


def _with_dense(folder: Path) -> list[Path]:
    dense = folder / "dense.onnx"
    return [folder / "model.onnx", *([dense] if dense.is_file() else [])]
