"""Attention that reads distances by content, beside transformers' DeBERTa."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from cofi_cli.architectures import load_dense
from cofi_cli.errors import CofiError
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import open_session
from cofi_cli.exporting.precision.fp16 import to_fp16
from cofi_cli.modeling import CofiConfig
from cofi_cli.modeling.disentangled import Distances, aligned
from tests.architectures import LABELS, class_of, inputs_of, save

NAME = "deberta-v2"


@pytest.mark.parametrize(
    ("span", "farthest", "length"),
    [(256, 512, 700), (256, 512, 1), (4, 8, 12), (5, 9, 20), (32, 100, 130), (6, None, 9)],
)
def test_each_pair_of_positions_finds_the_row_of_its_distance(
    span: int, farthest: int | None, length: int
) -> None:
    """The first is what v3 has, and more tokens than its distances tell apart."""
    config = CofiConfig(
        hidden_size=2,
        disentangled=["p2c", "c2p"],
        distance_span=span,
        distance_farthest=farthest,
    )
    x = torch.zeros(1, length, 1)
    relative = Distances(config)(x)
    buckets, limit = (-1, span) if farthest is None else (span, farthest)
    expected = build_relative_position(x, x, bucket_size=buckets, max_position=limit)[0]
    expected = (expected + span).clamp(0, 2 * span - 1)
    assert relative.c2p is not None and relative.p2c is not None
    by_query, by_key = (
        aligned(index.expand(1, 1, length, 2 * length))[0, 0]
        for index in (relative.c2p, relative.p2c)
    )
    assert torch.equal(by_query, expected)
    assert torch.equal(by_key.T, expected)


@pytest.mark.parametrize("form", ["plain", "packed"])
def test_one_graph_holds_for_every_length(form: str, tmp_path: Path) -> None:
    """Traced at 8 tokens; one token alone, and more than there are distances."""
    folder = save(tmp_path / "dense", NAME, "token")
    theirs = class_of(NAME, "token").from_pretrained(folder).eval()
    model = load_dense(str(folder), num_labels=LABELS["token"], head="token").eval()
    model.config._attn_implementation = "eager"
    write_onnx(model, tmp_path / "model.onnx", opset=17, form=form)
    session = open_session(tmp_path / "model.onnx")
    for length in (1, 2, 9, 60):
        ids = torch.randint(5, 40, (2, length), generator=torch.Generator().manual_seed(length))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        found = session.run(None, {k: v.numpy() for k, v in inputs.items()})[0]
        with torch.no_grad():
            expected = theirs(**inputs).logits
        torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=1e-5)


def test_a_half_precision_graph_opens(tmp_path: Path) -> None:
    """onnxruntime's own rewriting of transposed constants has crashed on one."""
    folder = save(tmp_path / "dense", NAME, "sequence")
    model = load_dense(str(folder), num_labels=LABELS["sequence"]).eval()
    model.config._attn_implementation = "eager"
    write_onnx(model, tmp_path / "model.onnx", opset=18)
    to_fp16(tmp_path / "model.onnx", tmp_path / "half.onnx")
    inputs = inputs_of(NAME)
    session = open_session(tmp_path / "half.onnx")
    found = session.run(None, {k: v.numpy() for k, v in inputs.items()})[0]
    with torch.no_grad():
        expected = model.run(**inputs).logits
    torch.testing.assert_close(torch.tensor(found), expected, atol=5e-3, rtol=1e-2)


def test_position_embeddings_that_are_not_read_are_left_out(tmp_path: Path) -> None:
    """Published checkpoints of v3 may carry them."""
    folder = save(tmp_path, NAME, "token")
    inputs = inputs_of(NAME)
    before = load_dense(str(folder), num_labels=LABELS["token"], head="token").eval()
    state = load_file(folder / "model.safetensors")
    state["deberta.embeddings.position_embeddings.weight"] = torch.ones(48, 16)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    after = load_dense(str(folder), num_labels=LABELS["token"], head="token").eval()
    with torch.no_grad():
        assert torch.equal(before.run(**inputs).logits, after.run(**inputs).logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # Left out, these mean what is not supported.
        ({"share_att_key": None}, "has share_att_key=False; supported is only True"),
        ({"relative_attention": None}, "has relative_attention=False; supported is only True"),
        ({"position_buckets": 14}, "position_buckets=14 does not fit max_relative_positions=8"),
    ],
)
def test_what_cannot_be_read_is_refused(
    changes: dict[str, int | None], message: str, tmp_path: Path
) -> None:
    folder = save(tmp_path, NAME, "sequence")
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {k: v for k, v in config.items() if k not in changes or v is not None}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CofiError, match=message):
        load_dense(str(folder), num_labels=3)
