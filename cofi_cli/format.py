"""How numbers and tables look in reports; the console renders the same tables in its own way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cofi_cli.runs.records import (
        ExportedFile,
        LatencySetting,
        LatencyTarget,
        ScoreRow,
        Vocabulary,
    )

MISSING = "-"


@dataclass(frozen=True)
class Table:
    """Plain cells under column names. The first column is text, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it as a Markdown table, without the title."""
        head = [_line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        return "\n".join([*head, *(_line(row) for row in self.rows)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def inert(markdown: str) -> str:
    """Return Markdown without HTML: a name or a text of somebody else may hold some."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", markdown)


def count(value: float | None) -> str:
    """Show a number of weights: ``10.64M``."""
    if value is None:
        return MISSING
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:.0f}"


def threads(number: int) -> str:
    """Show a number of threads: ``1 thread``, ``2 threads``."""
    return f"{number} thread{'' if number == 1 else 's'}"


def size(value: float | None) -> str:
    """Show bytes: ``42.6 MB``."""
    if value is None:
        return MISSING
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= power:
            return f"{value / power:.1f} {unit}"
    return f"{value:.0f} B"


def number(value: float | None, digits: int = 2) -> str:
    """Show a figure with a fixed number of digits."""
    return MISSING if value is None else f"{value:.{digits}f}"


def score(file: ExportedFile) -> str:
    """Show a score of export.json: ``85.3``, ``85.05 (-0.25, standard error 1.77)``."""
    words = number(file.score)
    if file.drop is None:
        return words
    error = "" if file.standard_error is None else f", standard error {file.standard_error:.2f}"
    return f"{words} ({0 - file.drop:+.2f}{error})"


def milliseconds(value: float | None) -> str:
    """Show milliseconds with three significant digits: ``0.842``, ``17.3``, ``395``."""
    if value is None:
        return MISSING
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Show a fraction in percent: ``95.0 %``."""
    return MISSING if value is None else f"{100 * value:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """Show a duration: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def factor(over: float | None, under: float | None) -> str:
    """Show how many times smaller the second is: ``20.1x``."""
    return f"{over / under:.1f}x" if over and under else MISSING


def speedup(ratio: float, interval: tuple[float, float], verdict: str) -> str:
    """Show a speedup: ``12.3x (12.0 to 12.6)``, or that it is none."""
    low, high = interval
    if verdict == "none":
        return f"none ({low:.2f} to {high:.2f})"
    return f"{ratio:.2f}x ({low:.2f} to {high:.2f})"


def metric(score: ScoreRow | None) -> str:
    """Return a score's metric, and on how many rows where that is a part of them."""
    if score is None:
        return MISSING
    if score.rows == score.rows_in_all:
        return score.metric
    return f"{score.metric}, first {score.rows:,} of {score.rows_in_all:,} rows"


def clock(seconds: float) -> str:
    """Show a duration: ``0:42``, ``12:05``, ``1:02:05``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def speed_words(target: LatencyTarget) -> str:
    """Say what speed was asked for, what was found, and in which case."""
    asked = (
        f"{1e3 * target.seconds:.3g} ms"
        if target.seconds is not None
        else f"{target.speedup:g} times the dense model's speed"
    )
    found = (
        f"{target.expected_speedup:.2f} times ({1e3 * target.expected_seconds:.3g} ms) "
        "expected by the latency table"
    )
    if (measured := target.measured) is not None:
        low, high = measured.interval
        found = (
            f"{measured.speedup:.2f} times ({low:.2f} to {high:.2f}) measured before recovery, "
            f"{1e3 * measured.seconds:.3g} ms against {1e3 * measured.dense_seconds:.3g} ms"
        )
    return f"asked {asked}: {found} ({case_words(target.setting)})"


def vocabulary_words(trimmed: Vocabulary) -> str:
    """Say what a trimmed vocabulary does to text."""
    seen = trimmed.held_out
    return (
        f"{trimmed.pieces} of {trimmed.before} pieces. Of {seen.texts} held-out texts "
        f"{seen.changed:.1%} split otherwise; they have {seen.growth:.1%} more tokens, "
        f"{seen.unknown} of them unknown ({seen.unknown_before} before)."
    )


def case_words(setting: LatencySetting) -> str:
    """Return ``cpu, fp32, batch 1, 128 tokens, 1 thread``."""
    length = setting.seq_len
    tokens = "the task's lengths" if length == "task" else f"{length} tokens"
    used = f", {threads(setting.threads)}" if setting.threads else ""
    return f"{setting.provider}, {setting.precision}, batch {setting.batch}, {tokens}{used}"
