"""For any widths and any plan of any architecture: masked, compact and ONNX are one model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cofi_cli.architectures import load_dense
from cofi_cli.exporting.graphs.forms import FORMS, unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.parity import open_session
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.pruning.sparsity import count_prunable
from cofi_cli.runtime.outputs import answer_of
from tests.architectures import HEADS, LABELS, TINY, inputs_of, plan_of, save
from tests.samples import sample
from tests.tiny import random_masks

# Rotary positions turn pairs of a head's dims.
SHAPES = st.builds(
    lambda layers, heads, pairs, ffn: EncoderShape(
        layers, heads, 2 * pairs, ffn, 2 * heads * pairs
    ),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 30),
)
CLOSE = {"atol": 2e-5, "rtol": 2e-5}


@given(
    name=st.sampled_from(list(TINY)),
    head=st.sampled_from(HEADS),
    shape=SHAPES,
    seed=st.integers(0, 10**6),
    closed=st.floats(0, 0.9),
    soft=st.booleans(),
    form=st.sampled_from(list(FORMS)),
)
@sample(8)
@torch.no_grad()
def test_masked_compact_and_onnx_answer_alike(
    name: str,
    head: str,
    shape: EncoderShape,
    seed: int,
    closed: float,
    soft: bool,
    form: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder: Path = tmp_path_factory.mktemp("any")
    save(folder, name, head, shape=shape, seed=seed)
    model = load_dense(str(folder), num_labels=LABELS[head], head=head).eval()
    shape = EncoderShape.of(model.config)  # with the architecture's biases and matrices
    masks = random_masks(shape, seed, soft=soft, closed=closed)
    plan = plan_of(masks, shape, soft=soft)
    small = compact(model, plan).eval()
    assert count_prunable(small) == plan.kept_size

    inputs = inputs_of(name)
    choose = inputs["attention_mask"].bool() if model.per_token else ...
    expected = model.run(**inputs, masks=masks, skip_closed=False).logits[choose]
    found = small.run(**inputs).logits[choose]
    torch.testing.assert_close(found, expected, **CLOSE)

    small.config._attn_implementation = "eager"
    form = "plain" if unsupported(small, form) is not None else form
    write_onnx(small, folder / "model.onnx", opset=18, form=form)
    session = open_session(folder / "model.onnx")
    # Where all attention is closed, nothing reads the mask.
    feed = {i.name: inputs[i.name].numpy() for i in session.get_inputs()}
    out = session.run(None, feed)
    answers = answer_of({o.name: v for o, v in zip(session.get_outputs(), out)})
    torch.testing.assert_close(torch.tensor(answers)[choose], found, **CLOSE)
    shutil.rmtree(folder)
