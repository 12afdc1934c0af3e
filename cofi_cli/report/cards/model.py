"""The README.md beside a compact model."""

from __future__ import annotations

from collections.abc import Mapping

from cofi_cli.report.cards.model_snippets import snippet
from cofi_cli.runs.records import RunReport
from cofi_cli.tasks.kinds.specs import KINDS, Kind
from cofi_cli.tasks.teacher.agreement import AGREEMENT

_CARD = """---
library_name: {library}
pipeline_tag: {pipeline}
tags: [pruning, cofi]
---

# {name}, pruned for {task}

{summary}

```python
{code}```

{table}

{note}

Made with [cofi](https://pypi.org/project/cofi-cli/), which implements CoFi structured pruning
(Xia, Zhong, Chen, ACL 2022).
"""

_LIBRARIES: Mapping[Kind, str] = {"embedding": "sentence-transformers"}
"""Kinds that another library than transformers opens."""


def model_card(report: RunReport) -> str:
    """Return the card of a report."""
    model, metric = report.model, report.metric
    is_agreement = metric == AGREEMENT
    shown = f"{metric} with the teacher" if is_agreement else metric
    rows = [
        f"| {shown}, validation | {model.score:.1f} |",
        f"| encoder weights | {model.encoder_params:,} |",
        f"| all weights | {model.total_params:,} |",
    ]
    summary = f"Fine-tuned from `{report.model_name}`."
    if report.sparsity is not None:
        summary = (
            f"{report.sparsity.realised:.1%} of the encoder's prunable weights of "
            f"`{report.model_name}` are removed."
        )
        if report.teacher is not None and not is_agreement:
            rows.insert(1, f"| {metric} of the dense teacher | {report.teacher.score:.1f} |")
    return _CARD.format(
        library=_LIBRARIES.get(report.kind, "transformers"),
        pipeline=KINDS[report.kind].pipeline,
        code=snippet(report.kind),
        name=report.model_name.rstrip("/").split("/")[-1],
        task=report.task,
        summary=summary,
        table="\n".join(["| | |", "|---|---|", *rows]),
        note=report.note,
    )
