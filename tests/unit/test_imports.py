"""Who may import whom, read from the sources: the layers of the package stay layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cofi_cli

PACKAGE = Path(cofi_cli.__file__).parent
COMMON = {
    "errors",
    "config",
    "config_errors",
    "runs",
    "places",
    "format",
    "yaml_files",
    "tolerances",
    "_register",
    "__init__",
}
"""Modules that every layer but modeling may import; the package's root is `__init__`."""

LOWER = {"pruning", "tasks", "architectures", "modeling"}
ALLOWED = {
    "cli": {"training", "deploy", "presets", *LOWER},
    "training": LOWER,
    "deploy": {"presets", *LOWER},
    "presets": set(),
    "pruning": {"modeling"},
    "tasks": {"modeling"},
    "architectures": {"modeling"},
    "modeling": set(),
    "errors": set(),
    "config": set(),
    "config_errors": set(),
    "runs": set(),
    "format": set(),
    "yaml_files": set(),
    "places": set(),
    "tolerances": set(),
    "_register": {"modeling"},
    "__main__": {"cli"},
    "__init__": {"training", "deploy", "tasks"},  # for type checkers; lazy otherwise
}
ONNX = {"onnx", "onnxruntime", "onnxscript"}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """Return the part of the package that a file belongs to: `cli`, `errors`, ..."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, at any depth."""
    package = ["cofi_cli", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "cofi_cli":
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_layers(path: Path) -> None:
    own = layer_of(path)
    assert own in ALLOWED, f"{own} has no place in the layers; add it to ALLOWED"
    allowed = ALLOWED[own] | {own} | (set() if own == "modeling" else COMMON)
    for name in imported(path):
        root, *rest = name.split(".")
        if root == "cofi_cli":
            target = rest[0] if rest and part_exists(rest[0]) else "__init__"
            assert target in allowed, f"{own} may not import {target} ({name})"
        elif root in ONNX:
            assert own == "deploy", f"only deploy may import {root}"
        elif own == "modeling":
            assert root in {"torch", "transformers"} | sys.stdlib_module_names, name


def part_exists(name: str) -> bool:
    """Whether `cofi_cli.name` is a module or a folder, and not a name of the root."""
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_the_rule_sees_relative_and_nested_imports(tmp_path: Path) -> None:
    names = set(imported(PACKAGE / "modeling" / "modeling_cofi.py"))
    assert "cofi_cli.modeling.configuration_cofi" in names
    assert "cofi_cli.modeling" in set(imported(PACKAGE / "_register.py"))


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
