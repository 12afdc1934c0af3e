"""``--fail-if``: what an earlier result may not have changed into.

    METRIC (> | <) CHANGE [UNIT]
    METRIC[LABEL] (> | <) CHANGE [UNIT]
    METRIC[COLUMN=VALUE] (> | <) CHANGE [UNIT]

CHANGE is by how much a figure moved since the earlier result, with its sign:
``p50>+5%`` fails when the median is more than 5 % higher, ``score<-0.5`` when the
score is more than half a point lower. Without ``%`` it is in the metric's unit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cofi_cli.benchmarking.gates.metrics import MEASURES, Measure, part_measure
from cofi_cli.errors import CofiError, unknown
from cofi_cli.tolerances import within

EXAMPLES = ('--fail-if "speedup<-5%"', '--fail-if "score<-0.5"', '--fail-if "memory>+20MB"')
_PARTS = "recall[LABEL], precision[LABEL], f1[LABEL], accuracy[COLUMN=VALUE]"
_SHAPE = re.compile(
    r"([a-z][a-z0-9_-]*)(\[.+\])?\s*([<>])\s*([+-]?)(\d+\.?\d*|\.\d+)\s*(%|[a-z/]*)", re.I
)


@dataclass(frozen=True)
class Condition:
    """One demand.

    Attributes:
        text: as written.
        measure: what is looked at.
        above: whether a change above the amount fails, rather than one below it.
        amount: signed; percent, or in the measure's unit.
        relative: whether it is percent.
    """

    text: str
    measure: Measure
    above: bool
    amount: float
    relative: bool

    @property
    def unit(self) -> str:
        """Unit of the amount."""
        return "%" if self.relative else self.measure.unit

    def change(self, before: float, after: float) -> float:
        """Return the change in :attr:`unit`."""
        if not self.relative:
            return after - before
        if before == 0:
            return 0.0 if after == 0 else float("inf") if after > 0 else float("-inf")
        return 100 * (after - before) / abs(before)

    def holds(self, change: float) -> bool:
        """Whether a change is one that fails."""
        return not (within(change, self.amount) if self.above else within(self.amount, change))


def parse_conditions(texts: Sequence[str]) -> list[Condition]:
    """Read what was given; see this module for the grammar.

    Raises:
        CofiError: one is not understood, or fails where nothing has changed.
    """
    return [_parse(text) for text in texts]


def _parse(text: str) -> Condition:
    matched = _SHAPE.fullmatch(text.strip())
    if matched is None:
        raise _wrong(text, "expected METRIC>CHANGE or METRIC<CHANGE, in quotes for the shell")
    name, of, sign, plus, digits, unit = matched.groups()
    measure, amount = _measure(text, name.lower(), of), float(f"{plus}{digits}")
    name = measure.name
    if not plus and amount:
        raise _wrong(text, f"say whether {digits} is more or less: +{digits} or -{digits}")
    if unit not in ("", "%", measure.unit):
        raise _wrong(text, f"{name} changes in % or {measure.unit}, not in {unit}")
    condition = Condition(text, measure, sign == ">", amount, unit == "%")
    if condition.holds(0.0):
        raise _wrong(text, "it would fail where nothing has changed")
    return condition


def _measure(text: str, name: str, of: str | None) -> Measure:
    if of is not None:
        return part_measure(name + of)
    name = name.replace("_", "-")
    if name not in MEASURES:
        raise unknown("metric", name, MEASURES, hint=f"--fail-if is '{text}'; {_such_as()}")
    return MEASURES[name]


def _wrong(text: str, why: str) -> CofiError:
    return CofiError(f"--fail-if is '{text}': {why}.", hint=_such_as()[0].upper() + _such_as()[1:])


def _such_as() -> str:
    return f"for example: {', '.join(EXAMPLES)}. Metrics: {', '.join(MEASURES)}, {_PARTS}."
