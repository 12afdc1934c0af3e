"""Model cards say how a model of their kind is opened."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers

from cofi_cli.modeling import HEADS
from cofi_cli.report.cards.model import model_card
from cofi_cli.report.cards.onnx import onnx_card
from cofi_cli.report.report import render_report
from cofi_cli.tasks import KINDS
from tests.records import export_record, exported_file, run_report


def code_of(card: str) -> str:
    """Return a card's only block of Python, after a look at its syntax."""
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(code, "card", "exec")
    return str(code)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_card_opens_the_kind(kind: str) -> None:
    card = model_card(run_report(model_name="some/bert", kind=kind))
    spec = KINDS[kind]
    assert f"\npipeline_tag: {spec.pipeline}\n" in card
    code = code_of(card)
    opens = (f"{spec.auto}.from_pretrained", f'pipeline("{spec.pipeline}"', "SentenceTransformer(")
    assert any(text in code for text in opens)
    assert hasattr(transformers, spec.auto)


def test_the_pages_feed_what_a_graph_takes() -> None:
    """RoBERTa's and DistilBERT's take no token types."""
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    blocks = [
        code for text in texts for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ]
    asking = [code for code in blocks if "InferenceSession" in code]
    assert len(asking) == 2
    for code in asking:
        compile(code, "page", "exec")
        (feed,) = re.findall(r"^feed = (.*)$", code, re.MULTILINE)
        inputs = [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]
        session = SimpleNamespace(get_inputs=lambda inputs=inputs: inputs)
        row = SimpleNamespace(ids=[5], attention_mask=[1], type_ids=[0])
        names: dict[str, Any] = {"text": row, "rows": [row], "session": session}
        (fields,) = re.findall(r"^fields = \{.*?\}$", code, re.MULTILINE | re.DOTALL)
        exec(f"{fields}\nfeed = {feed}", names)
        assert names["feed"] == {"input_ids": [[5]], "attention_mask": [[1]]}


@pytest.mark.parametrize("head", HEADS)
def test_an_onnx_card_reads_the_outputs_of_its_head(head: str) -> None:
    outputs = HEADS[head].output_names
    eight = exported_file(
        "model_int8.onnx",
        precision="int8",
        form="lean-fused",
        recipe="dynamic-channel",
        block_tokens=512,
    )
    record = export_record(exported_file(), eight, head=head)
    card = onnx_card(record, is_portable=False)
    assert "| model.onnx | fp32 | plain |" in card
    assert "| model_int8.onnx | int8 (dynamic-channel) | lean-fused, blocks of 512 tokens |" in card
    assert "opset 18, with operators of onnxruntime" in card
    assert "NaN" not in card and "Pad rows on the right" not in card
    half = exported_file("model_fp16.onnx", form="fused-lengths")
    lengths = onnx_card(export_record(exported_file(), half, head=head), is_portable=False)
    assert "padded elsewhere is\nanswered by NaN. What was tried" in lengths
    shifted = record.model_copy(update={"position_offset": 2})
    assert "Pad rows on the right" in onnx_card(shifted, is_portable=False)
    assert "`input_ids` and `attention_mask`, int64" in card
    code = code_of(card)
    for name in outputs:
        assert f"`{name}`" in card
    asked = outputs[1:] if head == "embedding" else outputs
    assert all(f'"{name}"' in code for name in asked)


def test_no_html_of_a_name_gets_into_what_is_shown() -> None:
    name = "/models/a<img src=x onerror=alert(1)>"
    report = run_report(model_name=name, note="<script>x</script> 1 < 2")
    record = export_record().model_copy(update={"source": name})
    texts = [
        model_card(report),
        render_report(report),
        onnx_card(record, is_portable=False),
    ]
    for text in texts:
        assert "<img" not in text and "<script" not in text
        assert "&lt;img src=x" in text
    assert "1 < 2" in texts[0]
