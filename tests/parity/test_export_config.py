"""An export's config.json opens as its source's architecture, in transformers and so in optimum."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from cofi_cli.exporting.checkpoint import load_model, write_config
from tests import architectures


@pytest.mark.parametrize("name", architectures.TINY)
def test_a_compact_models_config_opens_as_its_sources(tmp_path: Path, name: str) -> None:
    model = load_model(str(architectures.save(tmp_path / "dense", name, "sequence")))
    model.save_pretrained(tmp_path / "compact")
    (tmp_path / "onnx").mkdir()
    write_config(str(tmp_path / "compact"), tmp_path / "onnx")
    config = AutoConfig.from_pretrained(tmp_path / "onnx")
    assert config.model_type == architectures.TINY[name][0]
    assert config.num_labels == architectures.LABELS["sequence"]
    assert config.num_hidden_layers == architectures.SHAPE.n_layers
    assert config.num_attention_heads == architectures.SHAPE.n_heads
    assert config.hidden_size == architectures.SHAPE.hidden
    ffn = config.hidden_dim if name == "distilbert" else config.intermediate_size
    assert ffn == architectures.SHAPE.ffn
    written = json.loads((tmp_path / "onnx" / "config.json").read_text(encoding="utf-8"))
    if "embedding_size" in AutoConfig.for_model(config.model_type).to_dict():
        dense = json.loads((tmp_path / "dense" / "config.json").read_text(encoding="utf-8"))
        assert written["embedding_size"] == dense["embedding_size"]


def test_a_model_without_attention_opens_as_well(tmp_path: Path) -> None:
    """Many tools divide the width by the number of heads."""
    model = load_model(str(architectures.save(tmp_path / "dense", "bert", "sequence")))
    model.save_pretrained(tmp_path / "compact")
    saved = tmp_path / "compact" / "config.json"
    values = json.loads(saved.read_text(encoding="utf-8"))
    values["layer_heads"] = [0] * len(values["layer_heads"])
    saved.write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "onnx").mkdir()
    write_config(str(tmp_path / "compact"), tmp_path / "onnx")
    assert AutoConfig.from_pretrained(tmp_path / "onnx").num_attention_heads == 1
