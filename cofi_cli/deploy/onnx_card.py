"""The README.md of an export folder."""

from __future__ import annotations

from typing import Any

from cofi_cli.deploy import embedder_card, span_card, text

_CARD = """---
library_name: onnx
tags: [pruning, cofi, onnxruntime]
---

# {title}

{table}

Written by `cofi export` from `{source}`; ONNX opset {opset}, graph `{graph}`{portable}. Inputs are
`input_ids`, `attention_mask` and `token_type_ids`, int64, (batch, length), both open; {output}.
The fp32 files differ from torch by {delta:.1e} at most
(on {inputs}). What was tried, and what it took, is in `export.json`.

```python
{snippet}
```
"""

_OUTPUT = "the output is `logits`, (batch, labels)"
_SNIPPET = """import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
text = tokenizer.encode("a gripping, beautifully shot film")
fields = {"input_ids": text.ids, "attention_mask": text.attention_mask,
          "token_type_ids": text.type_ids}
logits = session.run(["logits"], {name: [row] for name, row in fields.items()})[0]"""

_HEADS = {
    "span": (span_card.OUTPUT, span_card.SNIPPET),
    "embedding": (embedder_card.OUTPUT, embedder_card.SNIPPET),
}
"""Kind of head -> what comes out, and how to use it."""


def onnx_card(report: dict[str, Any], *, is_portable: bool) -> str:
    """Return the card of an export.json."""
    rows = tuple(
        (
            row["file"],
            row["precision"],
            text.size(row["bytes"]),
            text.number(row.get("score")),
        )
        for row in report["models"].values()
    )
    metric = next((row["metric"] for row in report["models"].values() if "metric" in row), "score")
    table = text.Table("", ("file", "precision", "size", f"{metric} (dev)"), rows)
    output, snippet = _HEADS.get(report["head"], (_OUTPUT, _SNIPPET))
    return _CARD.format(
        output=output,
        snippet=snippet,
        title="ONNX models",
        table=table.markdown(),
        source=report["source"],
        opset=report["opset"],
        graph=report["graph"],
        portable=" (standard operators)" if is_portable else ", with operators of onnxruntime",
        delta=report["parity"]["max_abs_delta"],
        inputs=report["parity"]["inputs"],
    )
