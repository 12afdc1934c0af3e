"""From a torch model to an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cofi_cli.exporting.graphs.forms import FORMS, SKIP
from cofi_cli.exporting.graphs.modules import Traced
from cofi_cli.modeling import CofiForTask
from cofi_cli.runtime.outputs import STATES

if TYPE_CHECKING:
    from onnx import GraphProto

LARGEST_FILE = 2**31 - 2**24
"""Bytes of weights: protobuf ends at 2 GiB, and the nodes take their share."""


def inputs_of(model: CofiForTask) -> tuple[str, ...]:
    """Return the names of a graph's inputs; token types only where they make a difference."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    return names if model.config.has_token_types else names[:2]


def write_onnx(
    model: CofiForTask,
    file: Path,
    *,
    opset: int,
    form: str = "plain",
    provider: str = "cpu",
) -> None:
    """Trace a model in eager attention mode into one file, batch and length left open.

    Args:
        model: in eval mode; not changed.
        file: written.
        opset: version of the standard operators.
        form: one of :data:`cofi_cli.exporting.graphs.forms.FORMS`.
        provider: what the file is to be fast on, ``cpu`` or ``cuda``.

    The TorchScript exporter, because onnxruntime runs its graphs faster than the
    newer one's: there it fuses Add and LayerNormalization into an operator that
    is slower on processors.
    """
    outputs = model.output_names
    between = (model.config.num_labels,) if model.has_parts else ()
    ids = torch.ones((2, *between, 8), dtype=torch.int64)
    names = inputs_of(model)
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(names)]
    long = {0: "batch", ids.dim() - 1: "length"}
    axes = dict.fromkeys(names, long) | {
        name: long if model.per_token or name == STATES else {0: "batch"} for name in outputs
    }
    traced = Traced(model, FORMS[form], on_gpu=provider == "cuda").eval()
    with quiet("torch.onnx"), torch.inference_mode():
        torch.onnx.export(
            traced,
            inputs,
            str(file),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
            custom_opsets={"com.microsoft": 1} if traced.has_own_operators else {},
        )
    if form in SKIP:
        fuse_skip(file)
    elif provider == "cpu":
        residuals_as_sums(file)


def residuals_as_sums(file: Path) -> int:
    """Write the additions before LayerNormalization as Sum, in place; return how many.

    onnxruntime fuses Add and LayerNormalization into SkipLayerNormalization when it loads
    a file, which on processors takes several times as long as the two (docs/log.md). It
    does so in 8-bit graphs even where it leaves the fp32 ones alone. Sum is not fused.
    """
    import onnx

    model = onnx.load(str(file))
    constants = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    changed = 0
    for node in model.graph.node:
        added = makers.get(node.input[0]) if node.op_type == "LayerNormalization" else None
        if added is not None and added.op_type == "Add" and not constants & set(added.input):
            added.op_type = "Sum"
            changed += 1
    onnx.save(model, str(file))
    return changed


def fuse_skip(file: Path) -> None:
    """Fuse residuals, LayerNormalization, Gelu and their biases, in place, as CUDA likes it."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    with quiet("torch.onnx"):
        fused = optimize_model(
            str(file),
            model_type="bert",
            num_heads=0,
            hidden_size=0,
            optimization_options=FusionOptions("bert"),
            opt_level=0,
        )
    _name_after_outputs(fused.model.graph)
    fused.save_model_to_file(str(file))


def _name_after_outputs(graph: GraphProto) -> None:
    """Name fused nodes after what they make, for that tells their layer."""
    for node in graph.node:
        if "/layers." not in node.name and "/layers." in node.output[0]:
            node.name = f"{node.output[0]}/{node.op_type}"


@contextmanager
def quiet(name: str | None = None) -> Iterator[None]:
    """Hide advice that is not for our users; errors pass, and what comes out is judged.

    Args:
        name: of the logger that gives it; ``None`` for all.
    """
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
