"""What a benchmark compares: from paths on the command line to named models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cofi_cli.benchmarking.target_files import Exporter, models_of, models_of_sizes, served
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.find import find_source, run_of
from cofi_cli.runs.records import EXACT, LeftOut
from cofi_cli.runtime.model import Model


@dataclass(frozen=True)
class Targets:
    """What is timed.

    Attributes:
        models: the baseline first.
        baseline: its name, ``None`` for a model alone.
        runs: those that the targets are, or lie in.
        judged: names of the models that thresholds apply to: neither dense nor torch
            nor the baseline that was asked for.
        left_out: files that were not measured.
    """

    models: tuple[Model, ...]
    baseline: str | None
    runs: tuple[RunDir, ...] = ()
    judged: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

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
    exporter: Exporter,
    provider: str = "cpu",
    all_sizes: bool = False,
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
        exporter: exports a source.
        provider: the short name.
        all_sizes: whether a run stands for all of its sizes, with the dense model of the chosen
            one; thresholds apply to that one.
        torch: whether to add the checkpoints behind runs and model folders, in PyTorch;
            ``None``: those that are there.

    Raises:
        CofiError: nothing named, a path that does not exist, or nothing in it; no sizes where
            all are asked for; no checkpoint where ``torch`` asks for some.
    """
    if not targets:
        raise CofiError("Nothing to benchmark.", hint="Name a run, a model folder or an ONNX file.")
    found: list[Model] = []
    left_out: list[LeftOut] = []
    first = models_of(baseline, exporter)[0] if baseline is not None else None
    for target in targets:
        own = (models_of_sizes if all_sizes else models_of)(target, exporter)
        if not target.is_file():
            own = served(own, provider, left_out)
        found += own
        if first is None:
            first = next((m for m in own if m.is_dense and m.precision == EXACT), None)
    if first is None and len(found) > 1:
        first = found[0]
    unique = _once([*([first] if first else []), *found])
    if not unique:
        raise CofiError(
            f"No file is left to benchmark that the provider '{provider}' can run.",
            hint="Export another precision: cofi export --onnx --precision fp32.",
        )
    names = names_of(unique)
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
    judged = [m for m in free if not m.is_dense and m.is_chosen] or free
    return Targets(
        models=tuple(models),
        baseline=compared,
        runs=tuple(run for run in map(run_of, targets) if run is not None),
        judged=tuple(model.name for model in judged),
        left_out=tuple(left_out),
    )


def names_of(models: Sequence[Model]) -> list[str]:
    """Return a name for each model: of one among several sizes ``0.8/model``."""
    if any(model.of for model in models):
        names = [
            f"{model.of}/{model.path.stem}" if model.of else model.path.stem for model in models
        ]
        if len(set(names)) == len(names):
            return names
    return unique_names([model.path for model in models])


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
    """Return one model a file, however its folder was named: the one that an export names.

    A link to a file has a name of its own, and stays a model of its own.
    """
    found: dict[Path, Model] = {}
    for model in models:
        place = model.path.parent.resolve() / model.path.name
        if place not in found or model.family is not None:
            found[place] = model
    return list(found.values())


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
        exact = [m for m in models if m.family == family and m.precision == EXACT]
        for size, checkpoint in source.models.items():
            same = next((m for m in exact if m.size == size), None)
            if same is not None and (is_asked or Path(checkpoint).is_dir()):
                found.append(
                    replace(
                        same,
                        name=f"torch/{same.name}",
                        path=Path(checkpoint),
                        stated=EXACT,
                        form=None,
                        runtime="torch",
                    )
                )
    once = {model.name: model for model in found}.values()
    return sorted(once, key=lambda model: not model.is_dense)
