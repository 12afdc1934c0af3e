"""The kinds of task: each file of this folder defines one, called ``KIND``."""

from collections.abc import Mapping
from importlib import import_module

from cofi_cli.config import KIND_NAMES
from cofi_cli.tasks.kind import Kind

KINDS: Mapping[str, Kind] = {
    name: import_module(f"cofi_cli.tasks.kinds.{name}").KIND for name in KIND_NAMES
}
"""Name -> kind."""
