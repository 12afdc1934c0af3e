"""Make transformers' Auto classes know our model type, without loading transformers.

``AutoModelForSequenceClassification.from_pretrained(DIR)`` finds the type that
``config.json`` names in transformers' own tables. They are filled as soon as the
module that holds them is loaded: at once if it already is, otherwise by an entry
in ``sys.meta_path`` that waits for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def _register_config() -> None:
    from transformers.models.auto.configuration_auto import AutoConfig

    from cofi_cli.modeling import CofiConfig

    AutoConfig.register(CofiConfig.model_type, CofiConfig, exist_ok=True)


def _register_models() -> None:
    from transformers.models.auto.modeling_auto import AutoModel, AutoModelForSequenceClassification

    from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification, CofiModel

    _register_config()
    AutoModel.register(CofiConfig, CofiModel, exist_ok=True)
    AutoModelForSequenceClassification.register(
        CofiConfig, CofiForSequenceClassification, exist_ok=True
    )


_AFTER: dict[str, Callable[[], None]] = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_models,
}
"""Module of transformers -> what to do once it is loaded."""


class _Then(Loader):
    """Load a module with its own loader, then call a function."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self.loader, self.then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.then()


class _Waiter(MetaPathFinder):
    """Finds the modules of :data:`_AFTER` as usual, and wraps their loaders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        then = _AFTER.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if then is not None else None
        if then is None or spec is None or spec.loader is None:
            return None
        spec.loader = _Then(spec.loader, then)
        return spec


def register_when_loaded() -> None:
    """Register what can be registered now, and wait for the rest."""
    waiting = False
    for name, then in _AFTER.items():
        if name in sys.modules:
            then()
        else:
            waiting = True
    if waiting and not any(isinstance(finder, _Waiter) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiter())
