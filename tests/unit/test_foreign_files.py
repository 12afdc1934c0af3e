"""Malformed files of somebody else: one clear error that names the file, never another one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from cofi_cli.architectures import (
    dense_config,
    has_head,
    load_dense,
    load_tokenizer,
    read_answers,
    read_embedder,
    save_dense,
)
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runtime.inspection import inspect
from cofi_cli.tasks import Encoded, Ragged
from cofi_cli.training.preflight.run import guard_ids
from cofi_cli.training.stages.checkpoint import load_state, save_state
from cofi_cli.training.stages.metrics_log import MetricsLog
from tests.tiny_embedder import save_embedder
from tests.tiny_onnx import save_onnx

CONFIGS: dict[str, dict[str, Any]] = {
    "no list": {},
    "hidden_size": {"hidden_size": None},
    "num_hidden_layers": {"num_hidden_layers": "x"},
    "num_attention_heads": {"num_attention_heads": 0},
    "multiple": {"num_attention_heads": 3},
    "intermediate_size": {"intermediate_size": 10**12},
    "type_vocab_size": {"type_vocab_size": -1},
    "id2label": {"id2label": 0},
    "hidden_dropout_prob": {"hidden_dropout_prob": "x"},
    "model_type": {"model_type": [1]},
    "architectures": {"architectures": True},
}


def refused(folder: Path) -> list[CofiError]:
    """Return the errors of all readers; any other exception fails the test."""
    errors = []
    readers: tuple[Callable[[], object], ...] = (
        lambda: dense_config(str(folder)),
        lambda: load_dense(str(folder), num_labels=2),
        lambda: has_head(str(folder), num_labels=2),
        lambda: read_answers(str(folder)),
        lambda: load_tokenizer(str(folder)),
        lambda: read_embedder(str(folder)),
    )
    for read in readers:
        try:
            read()
        except CofiError as error:
            errors.append(error)
    return errors


@pytest.fixture
def model(bert_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert_folder, tmp_path / "model"))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_malformed_configuration_is_named(name: str, model: Path) -> None:
    file = model / "config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | CONFIGS[name] if CONFIGS[name] else [values]))
    errors = refused(model)
    if name != "architectures":  # a wrong name is no name
        assert errors and all(str(model) in error.message for error in errors)
    if name in ("hidden_size", "num_attention_heads", "intermediate_size"):
        assert name in errors[0].message and errors[0].exit_code == UNREACHABLE


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", '{"model": null}'),
        ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"model_max_length": "x"}'),
        ("tokenizer_config.json", '{"model_max_length": -1}'),
        ("tokenizer_config.json", '{"tokenizer_class": 5}'),
    ],
)
def test_a_malformed_tokenizer_is_named(file: str, text: str, model: Path) -> None:
    (model / file).write_text(text)
    with pytest.raises(CofiError, match="model'"):
        load_tokenizer(str(model))


def test_a_piece_with_a_number_of_billions_is_refused(model: Path) -> None:
    file = model / "tokenizer.json"
    values = json.loads(file.read_text())
    values["model"]["vocab"]["scene"] = 10**9
    file.write_text(json.dumps(values))
    with pytest.raises(CofiError, match="a piece has the number 1,000,000,000"):
        load_tokenizer(str(model))


@pytest.mark.parametrize("operator", ["Cast", "Gather", "EmbedLayerNormalization"])
def test_a_node_without_inputs_is_named(operator: str, tmp_path: Path) -> None:
    graph = onnx.load(save_onnx(tmp_path / "m.onnx"))
    graph.graph.node.insert(0, onnx.helper.make_node(operator, [], ["nothing"]))
    onnx.save(graph, tmp_path / "m.onnx")
    with pytest.raises(CofiError, match=r"m\.onnx cannot be used") as caught:
        inspect(tmp_path / "m.onnx")
    assert caught.value.exit_code == UNREACHABLE


@pytest.mark.parametrize(
    "content",
    [[1], 5, None, {"name": 5}, {1: torch.ones(2)}, {"classifier.weight": torch.tensor(1.0)}],
)
def test_pickled_weights_that_are_none(content: Any, model: Path) -> None:
    (model / "model.safetensors").unlink()
    torch.save(content, model / "pytorch_model.bin")
    assert [error.exit_code for error in refused(model)][:1] in ([2], [UNREACHABLE])


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def test_code_in_weights_is_refused_without_advice_to_run_it(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model.safetensors").unlink()
    torch.save({"classifier.weight": Code()}, model / "pytorch_model.bin")
    with pytest.raises(CofiError, match="it holds code, which is not run") as caught:
        load_dense(str(model), num_labels=2)
    assert "weights_only" not in caught.value.message and "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_named(bad: float, model: Path) -> None:
    file = model / "model.safetensors"
    tensors = load_file(file)
    tensors["bert.encoder.layer.1.output.dense.weight"][0, 0] = bad
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CofiError, match=r"layers\.1\..* holds NaN or infinite values"):
        load_dense(str(model), num_labels=2)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("modules.json", "[{}]"),
        ("modules.json", "[5]"),
        ("modules.json", "{}"),
        ("1_Pooling/config.json", '{"pooling_mode": 5}'),
        ("1_Pooling/config.json", '"mean"'),
        ("sentence_bert_config.json", '{"max_seq_length": -5}'),
        ("sentence_bert_config.json", '{"max_seq_length": true}'),
    ],
)
def test_a_malformed_embedder_is_named(file: str, text: str, tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m")
    (folder / file).write_text(text)
    with pytest.raises(CofiError, match="m'"):
        read_embedder(str(folder))


def test_an_embedder_hands_on_only_what_was_read(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m", dense="torch.nn.modules.activation.Tanh")
    (dense,) = folder.glob("*_Dense")
    (dense / "pytorch_model.bin").write_bytes(b"a stranger's")
    config = folder / "config.json"
    own = json.loads(config.read_text())
    config.write_text(json.dumps(own | {"auto_map": {"AutoModel": "evil.Model"}}))
    save_dense(
        load_dense(str(folder), num_labels=1, head="embedding"), tmp_path / "t", source=str(folder)
    )
    assert (tmp_path / "t" / dense.name / "model.safetensors").exists()
    assert not (tmp_path / "t" / dense.name / "pytorch_model.bin").exists()
    assert "auto_map" not in json.loads((tmp_path / "t" / "config.json").read_text())
    modules = folder / "modules.json"
    modules.write_text(
        modules.read_text().replace("sentence_transformers.models.Pool", "evil.Pool")
    )
    with pytest.raises(CofiError, match=r"evil\.Pooling"):
        read_embedder(str(folder))


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path) -> None:
    save_state(tmp_path / "latest.pt", {"step": 1})
    with pytest.raises(CofiError, match=r"latest\.pt cannot be read: 'stage' is missing"):
        load_state(tmp_path / "latest.pt", "step", "stage")


def test_lines_that_are_no_rows_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    row = b'{"stage": "prune", "step": 1}\n'
    file.write_bytes(row + b'null\n5\n[]\n{"stage": "prune", "step": "x"}\n\xff\n')
    MetricsLog(file).rewind("prune", 3)
    assert file.read_bytes() == row


def test_links_out_of_a_run_are_not_written_through(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.root.mkdir()
    (run.root / "inside").touch()
    run.report_md.symlink_to("inside")
    run.refuse_links()
    (tmp_path / "outside").touch()
    run.structure.symlink_to(tmp_path / "outside")
    with pytest.raises(CofiError, match=r"structure\.svg is a link to .*outside"):
        run.refuse_links()


def test_tokens_beyond_the_embeddings_are_named(model: Path) -> None:
    ids = Ragged([[1, 2], [40]])
    rows = Encoded(ids, ids, None, np.array([2, 1]))
    with pytest.raises(CofiError, match=r"gives token 40 in split train, .* vocab_size of 40"):
        guard_ids(str(model), {"train": rows})
