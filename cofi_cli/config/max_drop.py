"""``max_drop``: the points of score that may be lost, of all rows, of a label or of some rows.

    0.5    recall[PII]=0.2    accuracy[lang=de]=1

What stands in brackets is a label of the task, or a column of the validation file and a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator

PART = r"[A-Za-z]\w*\[.+\]"
"""A score of a part of the rows, as :attr:`cofi_cli.runs.records.ScoreRow.parts` names it."""
_SHAPE = re.compile(rf"({PART})\s*=\s*(\S+)")


@dataclass(frozen=True)
class Limits:
    """Points of score that may be lost.

    Attributes:
        whole: of all rows; ``None`` where nothing is said.
        parts: of parts of them, by name.
    """

    whole: float | None = None
    parts: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[float | str]) -> Limits:
        """Read what was given; see this module for the grammar.

        Raises:
            ValueError: one is neither, or there are two for the same.
        """
        whole: list[float] = []
        parts: dict[str, float] = {}
        for value in values:
            matched = _SHAPE.fullmatch(value.strip()) if isinstance(value, str) else None
            points = _points(value if matched is None else matched[2], value)
            if matched is None:
                whole.append(points)
            elif matched[1] in parts:
                raise ValueError(f"{matched[1]} is given twice")
            else:
                parts[matched[1]] = points
        if len(whole) > 1:
            raise ValueError(f"{whole[0]:g} and {whole[1]:g} are two limits of the same score")
        return cls(whole[0] if whole else None, parts)


def _points(text: float | str, value: float | str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not math.isfinite(points):
        raise ValueError(
            f"'{value}' is neither a number of points, such as 0.5, nor one of a part, such as "
            "recall[LABEL]=0.2 or accuracy[COLUMN=VALUE]=1"
        )
    return points


def _listed(value: Any) -> Any:
    """Return one value or several, numbers among them, as texts."""
    values = () if value is None else (value,) if isinstance(value, str | int | float) else value
    limits = Limits.of(values)
    parts = [f"{part}={points:g}" for part, points in limits.parts.items()]
    return (*([] if limits.whole is None else [f"{limits.whole:.10g}"]), *parts)


MaxDrop = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Limits as a configuration holds them: a text for each; none = ()."""
