"""YAML as this project reads it: plain values, no aliases, one error for whatever is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cofi_cli.errors import UNREACHABLE, CofiError


class _Loader(yaml.SafeLoader):
    """Refuses aliases and keys that stand twice.

    Half a kilobyte of nested aliases stands for more than a machine holds.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice} stands in it twice")
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"an alias (*{event.anchor}), which is not read here")
        return super().compose_node(parent, index)


def parse_yaml(text: str, *, name: str) -> Any:
    """Return what a text says.

    Args:
        text: YAML.
        name: of its place, for the error.

    Raises:
        CofiError: it is not YAML, holds an alias, or a value that no type takes.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        told = "nested too deeply" if isinstance(error, RecursionError) else error
        raise CofiError(f"{name} is not YAML: {' '.join(str(told).split())}.") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        CofiError: not there (6), not UTF-8, not YAML, or not a mapping (2).
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), name=str(path))
    except OSError as error:
        raise CofiError(
            f"Cannot read {path}: {error.strerror or error}.", exit_code=UNREACHABLE
        ) from error
    except UnicodeDecodeError as error:
        raise CofiError(f"{path} is not UTF-8 (byte {error.start}).") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CofiError(f"{path} holds {type(values).__name__}; expected keys with values.")
    return values
