"""Bytes of an export by the pieces and columns of its table, reckoned from one trial file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cofi_cli.architectures import load_tokenizer, save_tokenizer
from cofi_cli.config import ExportConfig
from cofi_cli.exporting.checkpoint import load_model, write_config
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.embeddings import to_int8_rows
from cofi_cli.exporting.precision.unscored import in_precision
from cofi_cli.vocabulary.factors import SCALE_BYTES

BESIDE = 32_000
"""Bytes of export.json and the card."""
_NUMBER = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Table:
    """The table of word vectors in an export, and what is around it.

    Attributes:
        pieces, columns: V and e of the table as it is; e is the rank of a factorised one.
        width: of the vectors.
        beside: bytes of everything but table and tokenizer.
        tokenizer: bytes a piece.
        row: bytes of a number of a row; a row has a scale as well where that is 1.
        matrix: bytes of a weight.
    """

    pieces: int
    columns: int
    width: int
    beside: int
    tokenizer: float
    row: int
    matrix: int

    def bytes(self, pieces: float, rank: int | None = None) -> float:
        """Return the bytes of the folder."""
        factor = 0 if rank is None else rank * self.width * self.matrix
        return self.beside + factor + pieces * self._piece(rank)

    def most_pieces(self, budget: int) -> int:
        """Return how many pieces fit, with vectors as they are; negative where nothing does."""
        return math.floor((budget - self.beside) / self._piece(None))

    def most_columns(self, budget: int, pieces: int) -> int:
        """Return the highest rank that fits for so many pieces."""
        room = budget - self.bytes(pieces, 0)
        return math.floor(room / (pieces * self.row + self.width * self.matrix))

    def _piece(self, rank: int | None) -> float:
        columns = self.columns if rank is None else rank
        return columns * self.row + (SCALE_BYTES if self.row == 1 else 0) + self.tokenizer


def measured(place: str, asked: ExportConfig) -> Table:
    """Return the sizes of a model by a trial file."""
    model, tokenizer = load_model(place, longest=asked.max_length), load_tokenizer(place)
    with TemporaryDirectory(prefix="cofi-size-") as name:
        folder = Path(name, "folder")
        folder.mkdir()
        exact, file = Path(name, "exact.onnx"), folder / "model.onnx"
        write_onnx(model, exact, opset=asked.opset)
        in_precision(exact, file, asked.precision)
        if asked.embeddings == "int8":
            to_int8_rows(file, file)
        save_tokenizer(tokenizer, folder)
        write_config(place, folder)
        whole = sum(own.stat().st_size for own in folder.iterdir())
        vocabulary = (folder / "tokenizer.json").stat().st_size
    embeddings: Any = model.model.encoder.embeddings
    count, columns = embeddings.word.weight.shape
    in_fp = "fp16" if asked.precision == "fp16" else "fp32"
    table = Table(
        pieces=count,
        columns=columns,
        width=model.config.embedding_size or model.config.hidden_size,
        beside=0,
        tokenizer=vocabulary / count,
        row=_NUMBER["int8" if asked.embeddings == "int8" else in_fp],
        matrix=_NUMBER[asked.precision],
    )
    return replace(table, beside=whole - int(table.bytes(count)) + BESIDE)
