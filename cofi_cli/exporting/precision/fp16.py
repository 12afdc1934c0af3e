"""Half precision, for GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_cli.exporting import candidates
from cofi_cli.exporting.acceptance import Verdict
from cofi_cli.exporting.graphs.choice import CHOSEN, Graphs
from cofi_cli.exporting.precision.embeddings import to_int8_rows
from cofi_cli.exporting.precision.fallback import Kept, keep_in_fp32
from cofi_cli.runs.records import Candidate
from cofi_cli.runtime.inputs import Batch

if TYPE_CHECKING:
    from onnx import GraphProto

KEPT = ("Softmax", "ReduceMean", "Pow", "Sqrt")
"""Operators of standard graphs whose values leave the range or the resolution of fp16.
Attention and LayerNormalization sum in fp32 inside; EmbedLayerNormalization does not, which
moves what it normalises by 0.2 % at most (all-MiniLM-L6-v2)."""
_NARROWING, _WIDENING = "_cast_to_fp16_node", "_cast_to_fp32_node"
"""End the names of the casts that the converter puts around what stays fp32."""


def half(
    graphs: Graphs,
    *,
    judge: Callable[[Path], Verdict],
    batches: Sequence[Batch],
    provider: Callable[[Path], str],
    notes: list[str],
) -> Kept:
    """Return the fastest half-precision graph, with layers in fp32 where it would not do without.

    Args:
        graphs: the fp32 ones; the form that is fastest need not be theirs.
        judge: of a file.
        batches: inputs that layers are compared on.
        provider: which one a file is compared on.
        notes: what is kept and why is added here.

    Raises:
        CofiError: it takes all layers (exit code 4).
    """
    form, timed = _fastest(graphs)
    source = graphs.proven(CHOSEN, form)[0]
    file = source.with_suffix(".half.onnx")

    def make(keep: tuple[str, ...]) -> Path:
        return _in_fp16(graphs, source, file, keep=keep)

    verdict = judge(make(()))
    if verdict.fault is None:
        return Kept(file, form, verdict, [], timed)
    layers, verdict = keep_in_fp32(
        names(source),
        precision="fp16",
        source=source,
        make=make,
        judge=judge,
        fault=verdict.fault,
        max_drop=graphs.wish.max_drop,
        batches=batches,
        provider=provider(file),
    )
    notes.append(
        f"fp16 keeps in fp32, for its score: {', '.join(layers)}. Its candidates were timed "
        "before that, with every layer in fp16."
    )
    return Kept(file, form, verdict, layers, timed)


def _in_fp16(graphs: Graphs, source: Path, target: Path, *, keep: Sequence[str] = ()) -> Path:
    to_fp16(source, target, keep=keep)
    if graphs.wish.has_int8_rows("fp16"):
        to_int8_rows(target, target)
    return target


def to_fp16(source: Path, target: Path, *, keep: Sequence[str] = ()) -> None:
    """Write a version of an fp32 graph with fp16 weights; inputs and logits keep their types.

    Args:
        source, target: ONNX files.
        keep: names of nodes that stay fp32, and what passes between them.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(str(source))
    _tell_types(model.graph)
    model = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=list(KEPT),
        node_block_list=list(keep),
    )
    _without_round_trips(model.graph)
    OnnxModel(model).topological_sort()  # the converter's casts stand behind what reads them
    onnx.save(model, str(target))


def names(file: Path) -> list[str]:
    """Return the names of a graph's nodes."""
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    return [node.name for node in graph.node if node.name]


def _tell_types(graph: GraphProto) -> None:
    """State that onnxruntime's own operators answer in floats, which onnx cannot infer.

    The converter casts only what it knows the type of.
    """
    from onnx import TensorProto, helper

    known = {value.name for value in graph.value_info}
    for node in graph.node:
        name = node.output[0]
        if node.domain == "com.microsoft" and name not in known:
            graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _without_round_trips(graph: GraphProto) -> None:
    """Let what is fp32 on both sides of two casts pass as it is.

    Between nodes that stay fp32 the converter casts to fp16 and back, and what fp16 does not
    hold would be infinite after all.
    """
    casts = [node for node in graph.node if node.op_type == "Cast"]
    narrow = {c.output[0]: c.input[0] for c in casts if c.name.endswith(_NARROWING)}
    whole = {c.output[0]: narrow.get(c.input[0]) for c in casts if c.name.endswith(_WIDENING)}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = whole.get(name) or name
    for made in (whole, narrow):
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
        for cast in [c for c in casts if c.output[0] in made and c.output[0] not in read]:
            graph.node.remove(cast)


def _fastest(graphs: Graphs) -> tuple[str, list[Candidate]]:
    """Return the form whose fp16 graph is fastest, and the timings; fp32's need not be."""
    halves = {
        form: _in_fp16(graphs, file, file.with_suffix(".fp16.onnx"))
        for form, file in graphs.of_each_form().items()
    }
    if len(halves) == 1:
        return next(iter(halves)), []
    ranking = candidates.rank(halves, graphs.wish.conditions)
    return ranking.order[0], ranking.rows
