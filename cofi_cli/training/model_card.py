"""The README.md beside a compact model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cofi_cli.tasks.kinds import KINDS, Kind
from cofi_cli.training import embedder_card, span_card

_CARD = """---
library_name: {library}
pipeline_tag: {pipeline}
tags: [pruning, cofi]
---

# {name}, pruned for {task}

{summary}

```python
{snippet}
```

{table}

{note}

Made with [cofi](https://pypi.org/project/cofi-cli/), which implements CoFi structured pruning
(Xia, Zhong, Chen, ACL 2022).
"""

_SNIPPET = """import cofi_cli  # or trust_remote_code=True below
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")"""

_SNIPPETS: Mapping[Kind, str] = {
    "span": span_card.SNIPPET,
    "embedding": embedder_card.SNIPPET,
}
"""Kinds whose answers take more than opening the model."""
_LIBRARIES: Mapping[Kind, str] = {"embedding": "sentence-transformers"}
"""Kinds that another library than transformers opens."""


def model_card(report: dict[str, Any]) -> str:
    """Return the card of a report."""
    model, metric = report["model"], report["metric"]
    rows = [
        f"| {metric}, validation | {model['score']:.1f} |",
        f"| encoder weights | {model['encoder_params']:,} |",
        f"| all weights | {model['total_params']:,} |",
    ]
    summary = f"Fine-tuned from `{report['model_name']}`."
    if "sparsity" in report:
        summary = (
            f"{report['sparsity']['realised']:.1%} of the encoder's prunable weights of "
            f"`{report['model_name']}` are removed."
        )
        rows.insert(1, f"| {metric} of the dense teacher | {report['teacher']['score']:.1f} |")
    kind: Kind = report.get("kind", "classification")
    return _CARD.format(
        library=_LIBRARIES.get(kind, "transformers"),
        pipeline=KINDS[kind].pipeline,
        snippet=_SNIPPETS.get(kind, _SNIPPET.format(auto=KINDS[kind].auto)),
        name=report["model_name"].rstrip("/").split("/")[-1],
        task=report["task"],
        summary=summary,
        table="\n".join(["| | |", "|---|---|", *rows]),
        note=report["note"],
    )
