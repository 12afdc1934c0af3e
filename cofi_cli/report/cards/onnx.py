"""The README.md of an export folder."""

from __future__ import annotations

from typing import Any

from cofi_cli import format as text
from cofi_cli.report.cards.texts import frame, use
from cofi_cli.runs.export_record import BY_LENGTH, graph_name

_PADDING = f"""
Files of graph `{BY_LENGTH}` take padding on the right only; a row that is padded elsewhere is
answered by NaN."""

_OFFSET = """
Pad rows on the right: positions are counted from a row's first token, and the checkpoint counts
from the first one that is not padding. Padded on the left, a row is answered otherwise."""


def onnx_card(report: dict[str, Any], *, head: str, is_portable: bool) -> str:
    """Return the card of an export.json.

    Args:
        report: the content of export.json.
        head: the models' kind of head.
        is_portable: whether all files use standard operators only.
    """
    outputs, code = use("onnx", head, "sequence").split("\n\n", 1)
    rows = tuple(
        (
            row["file"],
            precision_name(row),
            graph_name(row),
            text.size(row["bytes"]),
            text.score(row),
        )
        for row in report["models"].values()
    )
    metric = next((row["metric"] for row in report["models"].values() if "metric" in row), "score")
    table = text.Table("", ("file", "precision", "graph", "size", f"{metric} (dev)"), rows)
    return frame("onnx").format(
        title="ONNX models",
        table=table.markdown(),
        source=report["source"],
        opset=report["opset"],
        portable=", standard operators" if is_portable else ", with operators of onnxruntime",
        delta=report["parity"]["max_abs_delta"],
        inputs=report["parity"]["inputs"],
        outputs=outputs,
        names=_listed(report["inputs"]),
        padding=_padding(report),
        small=_small(report),
        code=code.rstrip(),
    )


def precision_name(row: dict[str, Any]) -> str:
    """Return ``int8 (dynamic-channel; fp32: layer 0)`` for a row of export.json.

    Embeddings are named where their precision is another.
    """
    layers = ", ".join(row.get("fp32_layers", ()))
    table = row.get("embeddings") or row["precision"]
    details = [
        row.get("recipe"),
        f"fp32: {layers}" if layers else None,
        f"embeddings {table}" if table != row["precision"] else None,
    ]
    words = "; ".join(filter(None, details))
    return f"{row['precision']} ({words})" if words else str(row["precision"])


def _small(report: dict[str, Any]) -> str:
    """Return what was left out to make the files small."""
    trimmed = report.get("vocabulary")
    longest = report.get("asked", {}).get("max_length")
    words = f"\nThe vocabulary is trimmed: {text.vocabulary_words(trimmed)}" if trimmed else ""
    return words + (f"\nThe files take rows of at most {longest} tokens." if longest else "")


def _padding(report: dict[str, Any]) -> str:
    """Return what there is to say of padding; BERT's own graphs take it anywhere."""
    is_by_length = any(row["form"] == BY_LENGTH for row in report["models"].values())
    has_offset = report.get("position_offset", 0) > 0
    return (_OFFSET if has_offset else "") + (_PADDING if is_by_length else "")


def _listed(names: list[str]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}"
