"""A latency table: seconds of sub-layers by their widths, measured in one setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cofi_cli.errors import UNREACHABLE, CofiError, fault_in
from cofi_cli.pruning.shape import EncoderShape

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
Rows = tuple[tuple[Seconds, ...], ...]
_AGAIN = "Measure the table again for this model."


class LatencyTable(BaseModel):
    """Seconds of one forward pass, part by part; the numbers of units ascend in every row.

    Attributes:
        version: of this format.
        provider, precision, threads: of onnxruntime; no threads = its own choice.
        batch, seq_len: rows, and tokens a row; ``task`` = the rows of a task as they come.
        task: whose rows these are; ``None`` where all rows have one length.
        shape: of the dense encoder.
        environment: machine and library versions.
        fixed_seconds: what no width changes: embeddings, task head, the call itself.
        hidden: hidden widths of the rows, two at least; the last is the dense one.
        heads: of the columns of attention: 1, 2, ... H.
        ffn_widths: of the columns of the FFN, two at least; the last is the dense one.
        attention_seconds: (hidden, heads) of one attention sub-layer, LayerNorm included.
        ffn_seconds: (hidden, ffn_widths) of one FFN sub-layer, LayerNorm included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    provider: str
    precision: str
    batch: Count
    seq_len: Count | Literal["task"]
    task: str | None = None
    threads: Count | None
    shape: EncoderShape
    environment: dict[str, Any] = {}
    fixed_seconds: Seconds
    hidden: tuple[Count, ...] = Field(min_length=2)
    heads: tuple[Count, ...] = Field(min_length=1)
    ffn_widths: tuple[Count, ...] = Field(min_length=2)
    attention_seconds: Rows
    ffn_seconds: Rows

    def setting(self) -> dict[str, Any]:
        """Return what the times are true for, for reports."""
        names = ("provider", "precision", "batch", "seq_len", "threads")
        return {name: getattr(self, name) for name in names}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the numbers, one sentence each."""
        shape = self.shape
        missing = sorted({*range(1, shape.n_heads + 1)} - {*self.heads})
        if missing:
            yield f"heads lacks {', '.join(map(str, missing))} of 1 to {shape.n_heads}"
        elif list(self.heads) != list(range(1, shape.n_heads + 1)):
            yield f"heads is not 1 to {shape.n_heads}, ascending"
        for name, widths, dense in (
            ("hidden", self.hidden, shape.hidden),
            ("ffn_widths", self.ffn_widths, shape.ffn),
        ):
            if any(a >= b for a, b in pairwise(widths)):
                yield f"{name} does not ascend"
            elif widths[-1] != dense:
                yield f"{name} ends at {widths[-1]}, not at the dense {dense}"
        for name, rows, columns in (
            ("attention_seconds", self.attention_seconds, self.heads),
            ("ffn_seconds", self.ffn_seconds, self.ffn_widths),
        ):
            yield from self._holes(name, rows, columns) or self._steps(name, rows, columns)

    def _holes(self, name: str, rows: Rows, columns: Sequence[int]) -> list[str]:
        if len(rows) != len(self.hidden):
            return [f"{name} has {len(rows)} rows for {len(self.hidden)} hidden widths"]
        return [
            f"{name} has {len(row)} times for {len(columns)} widths at hidden {hidden}"
            for hidden, row in zip(self.hidden, rows)
            if len(row) != len(columns)
        ]

    def _steps(self, name: str, rows: Rows, columns: Sequence[int]) -> list[str]:
        """Return where a smaller part takes longer: the cost has to fall with every unit."""
        found = [
            f"{name} at hidden {hidden}: {columns[i]} takes {a:.3g} s, {columns[i + 1]} {b:.3g} s"
            for hidden, row in zip(self.hidden, rows)
            for i, (a, b) in enumerate(pairwise(row))
            if a > b
        ]
        for low, high, narrow, wide in zip(self.hidden, self.hidden[1:], rows, rows[1:]):
            found += [
                f"{name} of {unit}: hidden {low} takes {a:.3g} s, {high} {b:.3g} s"
                for unit, a, b in zip(columns, narrow, wide)
                if a > b
            ]
        return found


def read_table(path: Path, shape: EncoderShape) -> LatencyTable:
    """Read a latency table for an encoder of this shape.

    Raises:
        CofiError: the file is not there (6); it is no table, of another version or of another
            encoder, has holes, or a narrower part takes longer than a wider one (2).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CofiError(
            f"Cannot read the latency table {path}: {reason}.",
            hint="Name a table that was measured for this model: --table FILE",
            exit_code=UNREACHABLE,
        ) from error
    try:
        table = LatencyTable.model_validate_json(text)
    except ValidationError as error:
        text = f"{path} is no latency table: {fault_in(error, first='version')}."
        raise CofiError(text, hint=_AGAIN) from None
    if table.shape != shape:
        theirs, ours = table.shape.as_dict(), shape.as_dict()
        differs = [f"{k} {v}, not {ours[k]}" for k, v in theirs.items() if v != ours[k]]
        raise CofiError(
            f"{path} was measured on an encoder of another shape: {'; '.join(differs)}.",
            hint=_AGAIN,
        )
    if found := list(table.problems()):
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        text = f"The latency table {path} cannot be used: {'; '.join(found[:3])}{more}."
        raise CofiError(text, hint=_AGAIN)
    return table
