"""What the record of an export says of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cofi_cli.runs.digests import file_digest, weights_digest
from cofi_cli.runs.records import ExportedFile, ScoreRow
from cofi_cli.runtime.inspection import Graph
from cofi_cli.tasks.metrics.basic import SHARES, share_error


def describe_file(file: Path, graph: Graph, checkpoint: str, **more: Any) -> ExportedFile:
    """Return the record of a file.

    Args:
        file: that was exported.
        graph: what it says about itself.
        checkpoint: that it was made of.
        more: the other fields.
    """
    return ExportedFile(
        file=file.name,
        source=checkpoint,
        weights_sha256=weights_digest(checkpoint),
        bytes=file.stat().st_size,
        sha256=file_digest(file),
        embeddings=graph.embeddings,
        node_count=sum(graph.nodes.values()),
        nodes=graph.nodes,
        **more,
    )


def score_fields(score: ScoreRow | None, exact: ScoreRow | None) -> dict[str, Any]:
    """Return what a record says of a score; ``exact`` is what a smaller file is held against."""
    if score is None:
        return {}
    fields: dict[str, Any] = {"metric": score.metric, "score": score.score, "rows": score.rows}
    if exact is not None:
        fields["drop"] = exact.score - score.score
        if score.metric in SHARES:
            fields["standard_error"] = share_error(score.score, score.rows)
    return fields
