"""Tiny ONNX files and a finished run around them, made without torch's exporter."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from cofi_cli.runs import RunDir
from cofi_cli.runs.digests import file_digest, weights_digest
from tests.records import export_record, exported_file, run_report
from tests.tiny import quick_config

WIDTH, VOCAB = 16, 40


def save_onnx(path: Path, *, work: int = 0, seed: int = 0, labels: int = 2) -> Path:
    """Write a graph from ids (b, l) to logits (b, labels): a table, ``work`` products, a mean."""
    rng = np.random.default_rng(seed)
    tensors = {
        "table": rng.normal(size=(VOCAB, WIDTH)),
        "square": np.eye(WIDTH) * 0.9,
        "head": rng.normal(size=(WIDTH, labels)),
    }
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{i}", "square"], [f"h{i + 1}"]) for i in range(work)]
    nodes += [
        helper.make_node("MatMul", [f"h{work}", "head"], ["words"]),
        helper.make_node("ReduceMean", ["words", "axis"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])],
        [
            *(numpy_helper.from_array(v.astype(np.float32), name) for name, v in tensors.items()),
            numpy_helper.from_array(np.asarray([1], dtype=np.int64), "axis"),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


def save_run(root: Path, checkpoint: Path, data: Path) -> RunDir:
    """Write a run as ``cofi prune`` and ``cofi export`` leave it, with files at three precisions.

    The dense files do ten times the work. What export.json states as int8 and fp16 is
    fp32 inside: who reads the folder goes by what is stated.
    """
    run = RunDir(root)
    for folder in (run.model, run.teacher):
        shutil.copytree(checkpoint, folder)
    config = quick_config(checkpoint, data).model_dump(mode="json")
    run.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    run_report().write(run.report_json)
    files = []
    for side, work, folder in (("model", 4, run.model), ("dense", 40, run.teacher)):
        for precision in ("fp32", "int8", "fp16"):
            name = side if precision == "fp32" else f"{side}_{precision}"
            file = save_onnx(run.onnx / f"{name}.onnx", work=work)
            made = exported_file(
                file.name,
                precision=precision,
                source=str(folder),
                weights_sha256=weights_digest(str(folder)),
                sha256=file_digest(file),
            )
            files.append(made)
    for file in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copyfile(checkpoint / file, run.onnx / file)
    record = export_record(*files, source=str(root), folder=str(run.onnx))
    record.write(run.onnx / "export.json")
    return run
