"""From a torch model to an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForSequenceClassification

OPSETS = range(17, 21)
"""17 is the first with LayerNormalization, 20 the last of the TorchScript exporter."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_onnx(model: CofiForSequenceClassification, file: Path, *, opset: int) -> None:
    """Trace a model in eager attention mode into one file, batch and length left open.

    The TorchScript exporter, because onnxruntime runs its graphs faster than the
    newer one's: there it fuses Add and LayerNormalization into an operator that
    is slower on processors.
    """
    import torch

    class Logits(torch.nn.Module):
        """The model as a function of three tensors that returns one."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            logits: torch.Tensor = self.inner(ids, mask, types).logits
            return logits

    ids = torch.ones((2, 8), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS} | {"logits": {0: "batch"}}
    with _quiet(), torch.inference_mode():
        torch.onnx.export(
            Logits().eval(),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(file),
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter says about itself; errors pass, and parity judges the result."""
    loggers = [logging.getLogger("torch.onnx")]
    levels = [log.level for log in loggers]
    try:
        for log in loggers:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
