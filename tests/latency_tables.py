"""Made-up latency tables: intercepts, a plateau, and less time for each unit that goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.shape import EncoderShape
from tests.tiny import SHAPE


def table_values(shape: EncoderShape = SHAPE, **changes: Any) -> dict[str, Any]:
    """Return a table as JSON holds it; milliseconds of a slow machine."""
    widths = sorted({1, shape.ffn // 8, shape.ffn // 4, shape.ffn // 2, shape.ffn})
    hidden = (shape.hidden // 2, shape.hidden)
    heads = range(1, shape.n_heads + 1)

    def seconds(units: int, of: int, d: int) -> float:
        used = max(units / of, 0.2)  # a plateau: registers are full only from there on
        return 1e-3 * (0.2 + 1.8 * used * d / shape.hidden)

    values = {
        "version": 1,
        "provider": "cpu",
        "precision": "fp32",
        "batch": 1,
        "seq_len": 128,
        "threads": 1,
        "shape": shape.as_dict(),
        "environment": {"onnxruntime": "1.23"},
        "fixed_seconds": 0.3e-3,
        "hidden": list(hidden),
        "heads": list(heads),
        "ffn_widths": widths,
        "attention_seconds": [[seconds(h, shape.n_heads, d) for h in heads] for d in hidden],
        "ffn_seconds": [[2 * seconds(w, shape.ffn, d) for w in widths] for d in hidden],
    }
    return values | changes


def made_up_table(shape: EncoderShape = SHAPE, **changes: Any) -> LatencyTable:
    return LatencyTable.model_validate_json(json.dumps(table_values(shape, **changes)))


def save_table(path: Path, shape: EncoderShape = SHAPE, **changes: Any) -> Path:
    path.write_text(json.dumps(table_values(shape, **changes)), encoding="utf-8")
    return path
