"""Prune transformer encoders, export them to ONNX, and measure what was gained.

``import cofi_cli`` is cheap: neither torch nor transformers is loaded by it.
``import cofi_cli.auto`` lets transformers' Auto classes open a pruned model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cofi_cli.api import bench, export
    from cofi_cli.config import RunConfig
    from cofi_cli.runs import RunDir
    from cofi_cli.tasks import load_task
    from cofi_cli.training.finetune import finetune
    from cofi_cli.training.pipeline import prune

__version__ = "0.1.0"
__all__ = [
    "RunConfig",
    "RunDir",
    "__version__",
    "bench",
    "export",
    "finetune",
    "load_task",
    "prune",
]

_HOME = {
    "RunConfig": "cofi_cli.config",
    "RunDir": "cofi_cli.runs",
    "bench": "cofi_cli.api",
    "export": "cofi_cli.api",
    "finetune": "cofi_cli.training",
    "load_task": "cofi_cli.tasks",
    "prune": "cofi_cli.training",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
