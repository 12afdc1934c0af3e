"""Make transformers' Auto classes know our model type, without loading transformers.

``AutoModelForSequenceClassification.from_pretrained(DIR)`` finds the type that
``config.json`` names in transformers' own tables. They are filled as soon as the
modules that hold them are loaded: at once if they already are, otherwise by an
entry in ``sys.meta_path`` that waits for them.

transformers' modules import each other in circles, and our modeling code imports
transformers. So nothing is touched while one of the modules involved is still
being executed; the last of them to finish does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_AUTO_CONFIG = "transformers.models.auto.configuration_auto"
_AUTO_MODEL = "transformers.models.auto.modeling_auto"
_OUR_CONFIG = "cofi_cli.modeling.configuration_cofi"
_OUR_MODEL = "cofi_cli.modeling.modeling_cofi"
_INVOLVED = {_AUTO_CONFIG, _AUTO_MODEL, "transformers.modeling_utils", _OUR_CONFIG, _OUR_MODEL}

_running: set[str] = set()
"""Modules of :data:`_INVOLVED` that are being executed now."""


def _register() -> None:
    """Register what can be registered without an import in a circle."""
    if _AUTO_CONFIG in sys.modules and not _running & {_AUTO_CONFIG, _OUR_CONFIG}:
        _register_config()
    if _AUTO_MODEL in sys.modules and not _running:
        _register_models()


def _register_config() -> None:
    from transformers.models.auto.configuration_auto import AutoConfig

    from cofi_cli.modeling import CofiConfig

    AutoConfig.register(CofiConfig.model_type, CofiConfig, exist_ok=True)


def _register_models() -> None:
    from transformers.models.auto import modeling_auto as auto

    from cofi_cli import modeling

    auto.AutoModel.register(modeling.CofiConfig, modeling.CofiModel, exist_ok=True)
    for own in modeling.HEADS.values():
        automatic = getattr(auto, str(own._auto_class))
        if automatic is not auto.AutoModel:  # an embedder opens as the bare encoder
            automatic.register(modeling.CofiConfig, own, exist_ok=True)


class _Then(Loader):
    """Executes a module with its own loader, then registers."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the module's own loader makes."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute, and do our part when no other module involved is under way."""
        _running.add(module.__name__)
        try:
            self.loader.exec_module(module)
        finally:
            _running.discard(module.__name__)
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        _register()


class _Waiter(MetaPathFinder):
    """Finds the modules involved as usual, and wraps their loaders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a module involved, ``None`` for any other."""
        if fullname not in _INVOLVED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader)
        return spec


def register_when_loaded() -> None:
    """Register now what is loaded, and wait for the rest."""
    if not any(isinstance(finder, _Waiter) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiter())
    _register()
