"""The README.md of an export folder."""

from __future__ import annotations

from cofi_cli import format as text
from cofi_cli.report.cards.texts import frame, use
from cofi_cli.runs.records import BY_LENGTH, ExportedFile, ExportRecord

_PADDING = f"""
Files of graph `{BY_LENGTH}` take padding on the right only; a row that is padded elsewhere is
answered by NaN."""

_OFFSET = """
Pad rows on the right: positions are counted from a row's first token, and the checkpoint counts
from the first one that is not padding. Padded on the left, a row is answered otherwise."""


def onnx_card(record: ExportRecord, *, is_portable: bool) -> str:
    """Return the card of an export.

    Args:
        record: of it.
        is_portable: whether all files use standard operators only.
    """
    outputs, code = use("onnx", record.head, "sequence").split("\n\n", 1)
    files = record.models.values()
    rows = tuple(
        (file.file, precision_name(file), file.graph, text.size(file.bytes), text.score(file))
        for file in files
    )
    metric = next((file.metric for file in files if file.metric is not None), "score")
    table = text.Table("", ("file", "precision", "graph", "size", f"{metric} (dev)"), rows)
    card = frame("onnx").format(
        table=table.markdown(),
        source=record.source,
        opset=record.opset,
        portable=", standard operators" if is_portable else ", with operators of onnxruntime",
        delta=record.parity.max_abs_delta,
        inputs=record.parity.inputs,
        outputs=outputs,
        names=_listed(record.inputs),
        padding=_padding(record),
        small=_small(record),
        code=code.rstrip(),
    )
    return text.inert(card)


def precision_name(file: ExportedFile) -> str:
    """Return ``int8 (dynamic-channel; fp32: layer 0)`` for a file.

    Embeddings are named where their precision is another.
    """
    layers = ", ".join(file.fp32_layers)
    details = [
        file.recipe,
        f"fp32: {layers}" if layers else None,
        f"embeddings {file.embeddings}" if file.embeddings != file.precision else None,
    ]
    words = "; ".join(filter(None, details))
    return f"{file.precision} ({words})" if words else file.precision


def _small(record: ExportRecord) -> str:
    """Return what was left out to make the files small."""
    trimmed, longest = record.vocabulary, record.asked.max_length
    words = f"\nThe vocabulary is trimmed: {text.vocabulary_words(trimmed)}" if trimmed else ""
    if (rank := record.asked.embedding_rank) is not None:
        words += f"\nThe table of word vectors is factorised: {rank} numbers a piece."
    return words + (f"\nThe files take rows of at most {longest} tokens." if longest else "")


def _padding(record: ExportRecord) -> str:
    """Return what there is to say of padding; BERT's own graphs take it anywhere."""
    is_by_length = any(file.form == BY_LENGTH for file in record.models.values())
    return (_OFFSET if record.position_offset > 0 else "") + (_PADDING if is_by_length else "")


def _listed(names: list[str]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}"
