"""metrics.jsonl: a row a step, consistent with the checkpoint after a resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.runs import write_text


class MetricsLog:
    """Append rows; flushed at checkpoints and stage ends.

    Args:
        path: the file; kept rows of earlier stages stay. ``None`` in a process that does not
            write.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._pending: list[str] = []

    def rewind(self, stage: str, step: int) -> None:
        """Drop rows of ``stage`` after ``step``, and lines that a crash cut short."""
        self._pending.clear()
        if self.path is None or not self.path.exists():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                is_kept = row.get("stage") != stage or row.get("step", 0) <= step
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue
            if is_kept:
                kept.append(line + "\n")
        write_text(self.path, "".join(kept))

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row; floats are shortened to six digits."""
        if self.path is None:
            return
        short = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}
        self._pending.append(json.dumps(short) + "\n")
        if len(self._pending) >= 50:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if self.path is not None and self._pending:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(self._pending))
            self._pending.clear()
