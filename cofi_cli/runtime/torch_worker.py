"""One checkpoint in PyTorch, eager, in a process of its own: what a user has before any export."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cofi_cli.runtime.outputs import answer_of
from cofi_cli.runtime.worker import Answer, Arrays, Worker, run

_CPU = "CPUExecutionProvider"


class TorchWorker(Worker):
    """Holds one model of transformers' Auto class: fp32, inference mode, its default attention."""

    _model: Any
    _torch: Any
    _device = "cpu"

    def open(self, *, model: str, provider: str, threads: int) -> Answer:
        """Load a checkpoint folder; ``providers`` names the one that its device stands for."""
        import torch
        import transformers

        import cofi_cli.auto  # noqa: F401  makes the model type of compact checkpoints known

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self._torch = torch
        wants_gpu = provider == "CUDAExecutionProvider"
        self._device = "cuda" if wants_gpu and torch.cuda.is_available() else "cpu"
        started = time.perf_counter()
        loaded = _load(transformers, model)
        self._model = loaded.to(device=self._device, dtype=torch.float32).train(False)
        return {
            "providers": [provider if wants_gpu and self._device == "cuda" else _CPU],
            "load_seconds": time.perf_counter() - started,
            "torch": torch.__version__,
            "attention": getattr(self._model.config, "_attn_implementation", None),
        }

    def _between(self) -> tuple[int, ...]:
        """Return the number of sequences in a row, for a head that chooses among them."""
        from cofi_cli.modeling import HEADS

        own = type(self._model).__name__.partition("For")[2]
        has_parts = any(h.has_parts and h.__name__.endswith(f"For{own}") for h in HEADS.values())
        return (int(self._model.config.num_labels),) if has_parts else ()

    def _logits(self, arrays: Arrays) -> np.ndarray:
        with self._torch.inference_mode():
            out = self._model(**self._feed(arrays))
        return answer_of({k: v.cpu().numpy() for k, v in out.items() if v is not None})

    def _feed(self, arrays: Arrays) -> dict[str, Any]:
        """Put on the device what the model's forward takes; DistilBERT takes no types."""
        takes = inspect.signature(self._model.forward).parameters
        return {
            name: self._torch.from_numpy(array).to(self._device)
            for name, array in arrays.items()
            if name != "token_type_ids" or name in takes
        }

    def _prepared(self, arrays: Arrays) -> Callable[[], object]:
        feed, model, torch = self._feed(arrays), self._model, self._torch

        def call() -> None:
            with torch.inference_mode():
                model(**feed)
            if self._device == "cuda":
                torch.cuda.synchronize()

        return call


def _load(transformers: Any, model: str) -> Any:
    """Open a checkpoint with the Auto class of the head that its configuration names.

    An embedder's folder says what follows the bare encoder; that is part of what is timed.
    """
    auto = _auto(transformers, model)
    loaded = auto.from_pretrained(model, local_files_only=True)
    if auto is not transformers.AutoModel or not (Path(model) / "modules.json").exists():
        return loaded
    from cofi_cli.runtime.torch_embedder import TorchEmbedder

    return TorchEmbedder(loaded, model)


def _auto(transformers: Any, model: str) -> Any:
    """Return the Auto class of the head that a checkpoint's configuration names."""
    from cofi_cli.modeling import HEADS

    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    named = "".join(config.get("architectures") or ())
    known = (own.__name__.partition("For")[2] for own in HEADS.values())
    head = next((name for name in known if named.endswith(f"For{name}")), None)
    return getattr(transformers, f"AutoModelFor{head}", transformers.AutoModel)


if __name__ == "__main__":
    run(TorchWorker())
