"""Rival: onnxsim's structured pruning of the dense exported graph, without training.

Heads and FFN dims go by weights times activations on training rows, what is left is refitted by
ridge regression, both onnxsim's (0.8.1 or newer); then onnxruntime's optimizer for transformers.
The graph is exported with onnxruntime's fused operators, for onnxsim knows no other attention
of ours. It cuts the pooler too, which ours keeps: that is put back. Optional:
``pip install 'onnxsim>=0.8.1'``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from ours import Json, Opened, measure_file, open_run
from runs import cofi, read
from tasks import CALIBRATION_ROWS, Cell

from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.runs import write_json
from cofi_cli.runtime.outputs import answer_of
from cofi_cli.tasks import Encoded, Ragged, collate, eval_batches

BATCH_SIZE = 32
NEEDS = (0, 8, 1)
_HEAD_PARTS = ("pooler", "classifier")
_LAYERS = "/layers."
"""In the names of what the encoder's layers compute."""
Feed = dict[str, NDArray[Any]]


def graph_pruning(cell: Cell, *, bench: bool) -> Json:
    """Return the row, or that onnxsim is not installed."""
    folder = cell.folder / "graph_pruning"
    done, file = folder / "row.json", folder / "model.onnx"
    if not done.exists():
        try:
            import onnxsim
        except ImportError:
            return {"missing": "not installed"}
        if _version(onnxsim.__version__) < NEEDS:
            return {"missing": f"onnxsim {onnxsim.__version__} is too old"}
        write_json(done, _row(cell, file))
    row: Json = read(done)
    return row | (measure_file(file, cell) if bench else {})


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.lstrip("v").split("+")[0].split(".") if part.isdigit())


def _row(cell: Cell, file: Path) -> Json:
    opened = open_run(cell.folder / "ours")
    dense = _optimised(_dense_graph(cell), only_gelu=True).model
    unshare(dense)
    report = read(cell.folder / "ours" / "report.json")
    plan = read(cell.folder / "ours" / "plan.json")
    budget = report["model"]["prunable_params"]
    heads, dims = counts(EncoderShape(**plan["shape"]), budget)
    feeds = list(_feeds(opened, dense, CALIBRATION_ROWS))
    began = time.perf_counter()
    pruned, notes = prune_graph(dense, feeds, EncoderShape(**plan["shape"]), heads, dims)
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = encoder_weights(pruned)
    as_additions(pruned)
    onnx.save(pruned, str(file))
    _optimised(file).save_model_to_file(str(file))
    minutes = (time.perf_counter() - began) / 60
    session = open_session(file, cell.threads)
    scores = {
        name: opened.task.score(answers(session, opened, encoded), encoded.reference)
        for name, encoded in opened.splits.items()
        if name != "train" and encoded.reference is not None
    }
    return {
        "scores": scores,
        "minutes": minutes,
        "weights": weights,
        "bytes": file.stat().st_size,
        "asked": {"heads": heads, "ffn": dims},
        "note": "; ".join(notes),
    }


def _dense_graph(cell: Cell) -> Path:
    """Return the teacher's graph with fused attention, exported unless it is there."""
    folder = cell.shared / "dense_onnx"
    if not (folder / "export.json").exists():
        source = cell.folder / "ours" / "teacher"
        cofi("export", source, "--onnx", "--graph", "fused", "-o", folder)
    return folder / "model.onnx"


def _optimised(file: Path, *, only_gelu: bool = False) -> Any:
    """Run onnxruntime's optimizer for transformers; ``only_gelu`` leaves all else as it is."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    if only_gelu:
        options.enable_attention = options.enable_embed_layer_norm = False
        options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
    return optimize_model(
        str(file), "bert", num_heads=0, hidden_size=0, opt_level=0, optimization_options=options
    )


def unshare(model: onnx.ModelProto) -> None:
    """Give each node tensors of its own, in place: what two layers share is not cut for either."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in seen and name in tensors:
                copy = model.graph.initializer.add()
                copy.CopyFrom(tensors[name])
                copy.name = node.input[place] = f"{name}_of_{node.output[0]}_{place}"
            seen.add(name)


def as_additions(model: onnx.ModelProto) -> None:
    """Turn sums of two into additions, in place: onnxruntime's optimizer fuses only these."""
    for node in model.graph.node:
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"


def counts(shape: EncoderShape, budget: int) -> tuple[int, int]:
    """Return the heads and the FFN dims that each layer keeps, onnxsim's being the same in all.

    Heads take half of the budget, one a layer at least; FFN dims what is left, one at least.
    """
    head, dim = shape.per_head(shape.hidden), shape.per_dim(shape.hidden)
    heads = round(0.5 * budget / (shape.n_layers * head))
    heads = min(max(heads, 1), shape.n_heads)
    biases = shape.n_layers * shape.hidden * (shape.attention_bias + shape.ffn_bias)
    dims = round((budget - biases - shape.n_layers * heads * head) / (shape.n_layers * dim))
    return heads, min(max(dims, 1), shape.ffn)


def prune_graph(
    dense: onnx.ModelProto, feeds: list[Feed], shape: EncoderShape, heads: int, dims: int
) -> tuple[onnx.ModelProto, list[str]]:
    """Prune a graph with onnxsim, refit it, and return it with notes.

    Args:
        dense: with onnxruntime's fused attention and Gelu.
        feeds: what it is run on for activations.
        shape: of the dense encoder.
        heads, dims: that each layer keeps.
    """
    import onnxsim

    def removed(kept: int, of: int) -> float:
        return (of - kept) / of

    pruned = onnxsim.apply_attention_head_wanda_pruning(
        dense, calibration_data=feeds, sparsity=removed(heads, shape.n_heads)
    )
    pruned = onnxsim.apply_structured_wanda_pruning(
        pruned, calibration_data=feeds, sparsity=removed(dims, shape.ffn)
    )
    _put_back_head(dense, pruned)
    refitted = onnxsim.apply_pruning_finetune(dense, pruned, calibration_data=feeds)
    return refitted, [f"onnxsim {onnxsim.__version__.lstrip('v')}"]


def _put_back_head(dense: onnx.ModelProto, pruned: onnx.ModelProto) -> None:
    """Give a pruned graph the dense one's pooler and classifier."""
    own = {tensor.name: tensor for tensor in dense.graph.initializer}
    for tensor in pruned.graph.initializer:
        if tensor.name in own and any(part in tensor.name for part in _HEAD_PARTS):
            tensor.CopyFrom(own[tensor.name])


def encoder_weights(model: onnx.ModelProto) -> int:
    """Count the weights and biases of attention and FFN, by the nodes that use them."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    own = {
        name
        for node in model.graph.node
        if node.op_type == "BiasGelu"
        or (node.op_type in ("Attention", "MatMul", "Add") and _LAYERS in node.output[0])
        for name in node.input
    }
    return sum(sizes.get(name, 0) for name in own)


def _feeds(opened: Opened, model: onnx.ModelProto, rows: int) -> Any:
    names = [value.name for value in model.graph.input]
    encoded = opened.splits["train"]
    pick = np.random.default_rng(opened.config.seed).permutation(len(encoded))[:rows]
    ordered = sorted(pick.tolist(), key=lambda row: encoded.lengths[row])
    for start in range(0, len(ordered), BATCH_SIZE):
        yield _feed(opened, encoded, ordered[start : start + BATCH_SIZE], names)


def _feed(opened: Opened, encoded: Encoded, rows: list[int], names: list[str]) -> Feed:
    batch = collate(encoded, rows, pad_id=int(opened.tokenizer.pad_token_id or 0))
    return {name: batch[name].numpy() for name in names}


def open_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def answers(session: onnxruntime.InferenceSession, opened: Opened, encoded: Encoded) -> Any:
    """Return a graph's outputs in the split's order, as :meth:`Task.score` takes them."""
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    rows: list[NDArray[Any]] = [np.empty(0)] * len(encoded)
    per_token = opened.task.kind.per_token
    for indices in eval_batches(encoded.lengths, batch_size=BATCH_SIZE):
        out = answer_of(
            dict(zip(outputs, session.run(None, _feed(opened, encoded, indices, names))))
        )
        for place, row in enumerate(indices):
            rows[row] = out[place, : encoded.lengths[row]] if per_token else out[place]
    return Ragged(rows, dtype=np.float32) if per_token else np.stack(rows)
