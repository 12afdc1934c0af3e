"""Rivals in size: onnxsim's vocabulary pruning of the dense graph, and model2vec. Both optional.

onnxsim (0.8.1 or newer) drops rows of the table and leaves a map of ids and the whole tokenizer to
its user; onnxruntime's dynamic quantisation follows, as that user would do. model2vec distils
static vectors of the encoder, trains a classifier on labels for classes, and for embedders learns
further from texts with tokenlearn; of a pair it gives the cosine.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "quality")]

from graph_pruning import answers, open_session  # noqa: E402
from ours import Opened, open_run  # noqa: E402
from runs import cofi  # noqa: E402
from word_vectors import distilled_embedder  # noqa: E402

from cofi_cli.architectures import resolve  # noqa: E402
from cofi_cli.tasks import Encoded, Ragged  # noqa: E402

PIECES = 10_000
"""Rows of the table that onnxsim keeps: the most used of the training rows, and special ones."""


def vocabulary_by_onnxsim(run: Path, folder: Path) -> float:
    """Export a run's teacher, prune its vocabulary by onnxsim, quantise; return the dev score."""
    import onnxsim
    from onnxruntime.quantization import quantize_dynamic

    opened = open_run(run)
    dense = folder.parent / "dense_plain"
    if not (dense / "export.json").exists():
        cofi("export", run / "teacher", "--onnx", "--graph", "plain", "--one-file", "-o", dense)
    special = {int(i) for i in opened.tokenizer.all_special_ids}
    uses = Counter(chain.from_iterable(map(int, row) for row in opened.splits["train"].input_ids))
    used = [i for i, _ in uses.most_common() if i not in special]
    kept = [*special, *used[: PIECES - len(special)]]
    pruned = onnxsim.apply_embedding_vocab_pruning(
        str(dense / "model.onnx"), keep_token_ids=kept, input_name="input_ids"
    )
    if not pruned.matched:
        raise ValueError("onnxsim finds no table in the graph")
    folder.mkdir(parents=True, exist_ok=True)
    quantize_dynamic(pruned.model, folder / "model.onnx")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(dense / name, folder / name)
    unknown = pruned.id_map[int(opened.tokenizer.unk_token_id)]
    dev = opened.splits["validation"]
    ids = Ragged(np.asarray([pruned.id_map.get(int(i), unknown) for i in r]) for r in dev.input_ids)
    found = answers(open_session(folder / "model.onnx", 1), opened, replace(dev, input_ids=ids))
    return _headline(opened, found, dev)


def static_by_model2vec(run: Path, folder: Path) -> float:
    """Distil static vectors by model2vec, save them in int8 and return the dev score."""
    from model2vec.distill import distill
    from model2vec.model import quantize_model
    from model2vec.train import StaticModelForClassification

    opened = open_run(run)
    task = opened.task
    train, dev = task.splits["train"], task.splits["validation"]
    if task.kind.has_labels and task.num_labels > 1:
        static = distill(str(run / "teacher"), quantize_to="float32", device="cpu")
        model = StaticModelForClassification.from_static_model(model=static)
        texts = [text for (text,) in train.texts]
        model.fit(texts, [str(label) for label in np.asarray(train.labels)], device="cpu")
        pipeline = model.to_pipeline()
        pipeline.model = quantize_model(pipeline.model, quantize_to="int8")
        pipeline.save_pretrained(str(folder))
        predicted = pipeline.predict([text for (text,) in dev.texts])
        logits = np.eye(task.num_labels)[[int(label) for label in predicted]]
        return _headline(opened, logits, opened.splits["validation"])
    if task.kind.has_labels:
        static = distill(resolve(opened.config.model), quantize_to="int8", device="cpu")
        first, second = (static.encode([row[i] for row in dev.texts]) for i in (0, 1))
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        logits = ((first * second).sum(1) / np.maximum(norms, 1e-9))[:, None]
        static.save_pretrained(str(folder))
        return _headline(opened, logits, opened.splits["validation"])
    static = quantize_model(distilled_embedder(opened)[0], quantize_to="int8")
    static.save_pretrained(str(folder))
    found = static.encode(list(chain.from_iterable(dev.texts)))
    return float(task.score(found, dev.labels)[task.headline])


def _headline(opened: Opened, outputs: Any, encoded: Encoded) -> float:
    return float(opened.task.score(outputs, encoded.reference)[opened.task.headline])


RIVALS: Mapping[str, Callable[[Path, Path], float]] = {
    f"onnxsim, dense, int8, {PIECES:,} pieces": vocabulary_by_onnxsim,
    "model2vec, int8": static_by_model2vec,
}
"""Row -> what makes its folder and returns its score."""
