"""Rival: word vectors alone, trained on labels; for embedders, static ones taught by the model.

The settings that are tried are few; the dev set chooses, which is more than ours is given.
"""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from ours import Json, Opened, measure_file, open_run, read
from tasks import Cell

from cofi_cli.architectures import load_dense, resolve
from cofi_cli.runs import write_json
from cofi_cli.training.baselines.bag_model import WordVectors
from cofi_cli.training.baselines.word_bags import Marks
from cofi_cli.training.baselines.word_vectors import Fit, Fitted, fit
from cofi_cli.training.evaluation import predict

TRIES = (Fit(), Fit(learning_rate=3e-4), Fit(epochs=25))
EMBEDDER_TRIES = (Fit(dropout=0.0), Fit(dropout=0.0, epochs=25))
STATIC_WIDTH = 256
"""Of model2vec's vectors; its and tokenlearn's default."""


def word_vectors(cell: Cell, *, bench: bool) -> Json:
    """Return the row: one a task and seed, whatever the sparsity."""
    done = cell.shared / "word_vectors.json"
    if not done.exists():
        torch.set_num_threads(cell.threads)
        write_json(done, _row(cell))
    row: Json = read(done)
    file = cell.shared / "word_vectors.onnx"
    return row | (measure_file(file, cell) if bench and file.exists() else {})


def _row(cell: Cell) -> Json:
    opened = open_run(cell.folder / "ours")
    if opened.task.kind.bag is None:
        return {"missing": "none for spans"}
    if not opened.task.kind.has_labels:
        return _static_embedder(cell, opened)
    model = load_dense(
        opened.config.model, num_labels=opened.task.num_labels, head=opened.task.kind.head
    )
    table = model.model.encoder.embeddings.word.weight.detach()
    found = _best(cell, opened, table, TRIES, None)
    return _saved(cell, opened, *found)


def _best(
    cell: Cell,
    opened: Opened,
    table: torch.Tensor,
    tries: tuple[Fit, ...],
    targets: NDArray[Any] | None,
) -> tuple[Fitted, float]:
    """Return the try that is best on the dev set, and the minutes of all."""
    marks, headline = Marks.of(opened.tokenizer), opened.task.headline
    fitted = [
        fit(
            opened.task,
            opened.splits,
            marks=marks,
            table=table,
            seed=cell.seed,
            settings=settings,
            targets=targets,
        )
        for settings in tries
    ]
    best = max(fitted, key=lambda one: one.scores["validation"][headline])
    return best, sum(one.seconds for one in fitted) / 60


def _saved(cell: Cell, opened: Opened, best: Fitted, minutes: float) -> Json:
    if best.model.what != "words":  # a tag's window is of words, which a graph does not see
        file = cell.shared / "word_vectors.onnx"
        save_onnx(best.model, Marks.of(opened.tokenizer), file)
    return {
        "scores": best.scores,
        "minutes": minutes,
        "weights": 0,
        "bytes": 4 * best.parameters,
        "epoch": best.epoch,
        "note": "word vectors and a hidden layer",
    }


def _static_embedder(cell: Cell, opened: Opened) -> Json:
    """Train static embeddings: tokenlearn's if it is installed, otherwise ours."""
    try:
        return _tokenlearn(opened)
    except ImportError as error:
        note = f"tokenlearn is not installed ({error.name or error}): means of trained vectors"
    began = time.perf_counter()
    model = load_dense(opened.config.model, num_labels=1, head="embedding").eval()
    targets = predict(
        model,
        opened.splits["train"],
        batch_size=64,
        pad_id=int(opened.tokenizer.pad_token_id or 0),
        device=torch.device("cpu"),
    )
    table = model.model.encoder.embeddings.word.weight.detach()
    spent = (time.perf_counter() - began) / 60
    best, minutes = _best(cell, opened, table, EMBEDDER_TRIES, np.asarray(targets))
    return _saved(cell, opened, best, minutes + spent) | {"note": note}


def _tokenlearn(opened: Opened) -> Json:
    student, minutes = distilled_embedder(opened)
    task = opened.task
    scores = {
        name: task.score(student.encode(list(chain.from_iterable(split.texts))), split.labels)
        for name, split in task.splits.items()
        if name != "train" and split.labels is not None
    }
    return {
        "scores": scores,
        "minutes": minutes,
        "weights": 0,
        "bytes": int(student.embedding.nbytes),
        "note": "model2vec and tokenlearn",
    }


def distilled_embedder(opened: Opened) -> tuple[Any, float]:
    """Distil with model2vec and tokenlearn, as tokenlearn's own command does, on the same texts.

    Returns:
        The static model, and the minutes that it took.
    """
    from model2vec.distill import distill
    from sentence_transformers import SentenceTransformer
    from tokenlearn.train import train_model

    began = time.perf_counter()
    folder, task = resolve(opened.config.model), opened.task
    texts = [text for (text,) in task.splits["train"].texts]
    states = SentenceTransformer(folder, device="cpu").encode(
        texts, output_value="token_embeddings", batch_size=64
    )
    means = np.stack([state[1:-1].float().mean(0).numpy() for state in states])
    width = min(STATIC_WIDTH, means.shape[1])
    student = distill(folder, quantize_to="float32", pca_dims=width, device="cpu")
    student = train_model(student, texts, means, device="cpu", pca_dims=width)
    return student, (time.perf_counter() - began) / 60


def save_onnx(model: WordVectors, marks: Marks, file: Path) -> None:
    """Write word vectors of texts or pairs as a graph from ids, mask and types to logits.

    A pair's texts are told by their token types.
    """
    table = model.table.weight.detach().numpy()
    is_word = np.ones((len(table), 1), dtype=np.float32)
    is_word[[mark for mark in marks.all if mark < len(table)]] = 0
    tensors: dict[str, NDArray[Any]] = {
        "table": table,
        "is_word": is_word,
        "rows": np.asarray([1], dtype=np.int64),
        "last": np.asarray([-1], dtype=np.int64),
        "one": np.asarray(1, dtype=np.float32),
        "out.weight": model.out.weight.detach().numpy(),
        "out.bias": model.out.bias.detach().numpy(),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["is_word", "input_ids"], ["word"]),  # (b, l, 1)
        node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["real", "last"], ["real_column"]),
        node("Mul", ["word", "real_column"], ["counted"]),
        node("Gather", ["table", "input_ids"], ["vectors"]),  # (b, l, d)
    ]
    if model.what == "pair":
        nodes += [
            node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["types", "last"], ["second"]),
            node("Sub", ["one", "second"], ["first"]),
            node("Mul", ["counted", "first"], ["weights_u"]),
            node("Mul", ["counted", "second"], ["weights_v"]),
            *_mean("weights_u", "u"),
            *_mean("weights_v", "v"),
            node("Sub", ["u", "v"], ["difference"]),
            node("Abs", ["difference"], ["distance"]),
            node("Mul", ["u", "v"], ["product"]),
            node("Concat", ["u", "v", "distance", "product"], ["features"], axis=-1),
        ]
    else:
        nodes += _mean("counted", "features")
    read_from = "features"
    if model.hidden is not None:
        tensors["hidden.weight"] = model.hidden.weight.detach().numpy()
        tensors["hidden.bias"] = model.hidden.bias.detach().numpy()
        nodes += [
            node("Gemm", ["features", "hidden.weight", "hidden.bias"], ["hidden"], transB=1),
            node("Relu", ["hidden"], ["active"]),
        ]
        read_from = "active"
    nodes.append(node("Gemm", [read_from, "out.weight", "out.bias"], ["logits"], transB=1))
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * (model.what == "pair")
    shape = ["batch", "length"]
    graph = helper.make_graph(
        nodes,
        "word_vectors",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch", len(tensors["out.bias"])]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(file))


def _mean(weights: str, name: str) -> list[onnx.NodeProto]:
    """Return the nodes of a weighted mean over tokens, (b, l, 1) and (b, l, d) to (b, d)."""
    node = helper.make_node
    return [
        node("Mul", ["vectors", weights], [f"{name}_kept"]),
        node("ReduceSum", [f"{name}_kept", "rows"], [f"{name}_sum"], keepdims=0),
        node("ReduceSum", [weights, "rows"], [f"{name}_count"], keepdims=0),
        node("Max", [f"{name}_count", "one"], [f"{name}_least"]),
        node("Div", [f"{name}_sum", f"{name}_least"], [name]),
    ]
