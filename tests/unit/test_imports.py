"""Who may import whom, read from the sources: the wings of the package stay wings."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import cofi_cli

PACKAGE = Path(cofi_cli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

COMMON = {
    "errors",
    "config",
    "config_errors",
    "runs",
    "format",
    "yaml_files",
    "tolerances",
    "__init__",
}
"""Modules and folders that every wing but modeling may import; the package's root is `__init__`."""

LOWER = {"pruning", "tasks", "architectures", "modeling"}
ALLOWED: dict[str, set[str]] = {
    "cli": {"api", "benchmarking", "training", "report", "report.cards", "runtime", "presets"}
    | LOWER,
    # What a call from Python does and a command as well: it exports or measures, and redraws.
    "api": {"exporting", "benchmarking", "report", "runtime", "tasks"},
    "training": {"report.cards", "vocabulary", *LOWER},  # a folder is written with its card
    "exporting": {
        "runtime",
        "tasks",
        "architectures",
        "modeling",
        "report.cards",
        "vocabulary",
    },
    "vocabulary": {"tasks", "architectures", "modeling"},
    # pruning: a latency table is what a pruned model costs.
    "benchmarking": {"runtime", "tasks", "architectures", "modeling", "pruning"},
    "runtime": {
        "tasks",
        "architectures",
        "modeling",
        "presets",
        "auto",
    },  # presets: a task's lengths
    "report": {"report.pictures"},
    "report.pictures": set(),
    "report.cards": {"tasks"},  # what a kind of task is called elsewhere
    "presets": {"tasks"},  # a kind of task names its preset
    "pruning": {"modeling"},
    "tasks": set(),
    "architectures": {"modeling", "auto"},
    "modeling": set(),
    "runs": set(),
    "errors": set(),
    "config": set(),
    "config_errors": set(),
    "format": set(),
    "yaml_files": set(),
    "tolerances": set(),
    "auto": {"modeling"},
    "optimum_onnx": {"modeling"},
    "optimum_cli": {"optimum_onnx"},
    "__main__": {"cli"},
    # For type checkers; loaded on first use otherwise.
    "__init__": {"api", "training", "tasks"},
}
EXCEPTIONS = {
    # A latency table is measured in the graphs that exports are.
    ("benchmarking.latency_stacks", "exporting.graphs.forms"),
    ("benchmarking.latency_stacks", "exporting.graphs.tracing"),
    ("benchmarking.latency_stacks", "exporting.precision.unscored"),
    # The speed of a plan is measured in the files that an export would have.
    ("benchmarking.stopwatch", "exporting.build"),
    ("benchmarking.stopwatch", "exporting.candidates"),
    ("benchmarking.stopwatch", "exporting.graphs.choice"),
}
"""Single imports across wings that ALLOWED refuses."""

ONNX = {"onnx", "onnxruntime", "onnxscript"}
ONNX_WINGS = {"runtime", "exporting", "benchmarking"}

DEFERRED_CIRCLES: list[set[str]] = []
"""Circles through imports in functions or for type checkers only, each with its reason."""


class Import(NamedTuple):
    """One imported module.

    Attributes:
        name: in full.
        is_deferred: whether it is made in a function or for type checkers only.
    """

    name: str
    is_deferred: bool


def name_of(path: Path, root: Path = PACKAGE) -> str:
    """Return the module of a file below the package: `tasks.task`; a folder is its __init__."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


MODULES = {name_of(path): path for path in FILES}


def wing_of(name: str) -> str:
    """Return the part of the package that a module belongs to: `cli`, `report.cards`, `errors`."""
    whole, sub_folder = name.partition(".")[0], ".".join(name.split(".")[:2])
    return sub_folder if sub_folder in ALLOWED else whole


def imported(path: Path) -> Iterator[Import]:
    """Yield every module that a file imports, at any depth."""
    package = ["cofi_cli", *path.relative_to(PACKAGE).parent.parts]

    def visit(node: ast.AST, is_deferred: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, is_deferred) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                for alias in child.names:
                    name = f"{module}.{alias.name}"
                    is_module = name.removeprefix("cofi_cli.") in MODULES
                    yield Import(name if is_module else module, is_deferred)
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(
                    child.test
                )
                yield from visit(child, is_deferred or is_function or is_for_types)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def own_imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the modules of the package that a file imports, and whether that is deferred."""
    for name, is_deferred in imported(path):
        root, _, rest = name.partition(".")
        if root == "cofi_cli":
            yield rest or "__init__", is_deferred


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_wings(path: Path) -> None:
    own = name_of(path)
    wing = wing_of(own)
    assert wing in ALLOWED, f"{wing} has no place among the wings; add it to ALLOWED"
    allowed = ALLOWED[wing] | {wing} | (set() if wing == "modeling" else COMMON)
    for target, _ in own_imports(path):
        assert target in MODULES, f"{own} imports {target}, which is no module"
        is_allowed = wing_of(target) in allowed or (own, target) in EXCEPTIONS
        assert is_allowed, f"{own} may not import {target}"
    for name, _ in imported(path):
        root = name.partition(".")[0]
        if root in ONNX:
            assert wing in ONNX_WINGS, f"only {sorted(ONNX_WINGS)} may import {root}"
        elif wing == "modeling" and root != "cofi_cli":
            assert root in {"torch", "transformers"} | sys.stdlib_module_names, name


def test_no_exception_is_left_over() -> None:
    made = {(own, target) for own, path in MODULES.items() for target, _ in own_imports(path)}
    assert made >= EXCEPTIONS


def circles(arrows: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Return the groups of modules that import each other, directly or by way of others."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = [start]
        while todo:
            for target in arrows.get(todo.pop(), ()):
                if target not in found:
                    found.add(target)
                    todo.append(target)
        return found

    behind = {name: reached(name) for name in arrows}
    groups = {
        frozenset(other for other in behind[name] if name in behind.get(other, ()))
        for name in arrows
        if name in behind[name]
    }
    return [set(group) for group in sorted(groups, key=sorted)]


def arrows(*, with_deferred: bool) -> dict[str, set[str]]:
    """Return what each module imports of the package; the package's root imports nothing."""
    return {
        name: {
            target
            for target, is_deferred in own_imports(path)
            if target != name and (with_deferred or not is_deferred)
        }
        for name, path in MODULES.items()
        if name != "__init__"
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(arrows(with_deferred=False)) == []


def test_circles_of_deferred_imports_are_known() -> None:
    assert circles(arrows(with_deferred=True)) == DEFERRED_CIRCLES


def test_circles_are_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a", "d"}, "d": {"d"}}) == [{"a", "b"}, {"d"}]


def test_the_rule_sees_relative_nested_and_deferred_imports() -> None:
    modeling = PACKAGE / "modeling" / "modeling_cofi.py"
    assert ("modeling.configuration_cofi", False) in set(own_imports(modeling))
    assert ("tasks", True) in set(own_imports(PACKAGE / "__init__.py"))
    assert ("report.pictures.svg", False) in set(own_imports(MODULES["report.pictures.structure"]))


@pytest.mark.parametrize("statement", ["import cofi_cli", "from cofi_cli import RunConfig"])
def test_the_package_is_cheap_to_import(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\n"
        "from cofi_cli.__main__ import main\n"
        "sys.argv = ['cofi', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('loaded:', sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_public_names_exist() -> None:
    for name in cofi_cli.__all__:
        assert getattr(cofi_cli, name) is not None
        assert name in dir(cofi_cli)
    with pytest.raises(AttributeError, match="has no attribute 'prunes'"):
        cofi_cli.prunes  # noqa: B018
