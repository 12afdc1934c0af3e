"""The README.md of an export folder."""

from __future__ import annotations

from typing import Any

from cofi_cli.deploy import text

_CARD = """---
library_name: onnx
tags: [pruning, cofi, onnxruntime]
---

# {title}

{table}

Written by `cofi export` from `{source}`; ONNX opset {opset}, graph `{graph}`{portable}. Inputs are
{inputs_of}, int64, (batch, length), both open; the output is
`logits`, (batch, labels). The fp32 files differ from torch by {delta:.1e} at most
(on {inputs}). What was tried, and what it took, is in `export.json`.

```python
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
text = tokenizer.encode("a gripping, beautifully shot film")
fields = {{{fields}}}
logits = session.run(["logits"], {{name: [row] for name, row in fields.items()}})[0]
```
"""


_OF = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Input of a graph -> attribute of a tokenizer's encoding."""


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
    return _CARD.format(
        title="ONNX models",
        table=table.markdown(),
        source=report["source"],
        opset=report["opset"],
        graph=report["graph"],
        portable=" (standard operators)" if is_portable else ", with operators of onnxruntime",
        delta=report["parity"]["max_abs_delta"],
        inputs=report["parity"]["inputs"],
        inputs_of=", ".join(f"`{name}`" for name in report["inputs"]),
        fields=", ".join(f'"{name}": text.{_OF[name]}' for name in report["inputs"]),
    )
