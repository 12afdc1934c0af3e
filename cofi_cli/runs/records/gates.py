"""Gates of a benchmark: what was demanded, what was found, and both in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from cofi_cli.errors import GATE, CofiError
from cofi_cli.runs.records.store import Part

Outcome = Literal["passed", "failed", "too noisy"]


class GateRow(Part):
    """What all gates state.

    Attributes:
        model, case: that decided; ``None`` where nothing was found, or it is of no case.
        threshold: as asked for.
        value: that was found; ``None`` where there is none.
        reason: why a case has no latencies, or a model no such score; such a gate fails.
    """

    name: str
    model: str | None = None
    case: str | None = None
    threshold: float
    value: float | None = None
    reason: str | None = None
    passed: bool

    @property
    def label(self) -> str:
        """Return the demand without its threshold, for tables."""
        return self.name

    @property
    def shown_threshold(self) -> str:
        """Return the threshold, for tables."""
        return f"{self.threshold:g}"

    @property
    def asked(self) -> str:
        """Return the demand in words."""
        return f"{self.label} {self.shown_threshold}"

    @property
    def verdict(self) -> Outcome:
        """Return ``passed``, ``failed`` or ``too noisy``."""
        return "passed" if self.passed else "failed"

    def describe(self) -> str:
        """Say in words what was found."""
        if self.reason is not None:
            place = f", case {self.case} is " if self.case is not None else ": "
            return f"'{self.asked}' cannot be judged{place}{self.reason}"
        if self.model is None:
            return f"{self.asked} found nothing to judge"
        return self._found()

    def _found(self) -> str:
        raise NotImplementedError


class SpeedupGate(GateRow):
    """``--min-speedup``: times as fast as ``vs`` in the slowest case."""

    name: Literal["min_speedup"] = "min_speedup"
    vs: str | None = None
    equal_precision: bool | None = None

    def _found(self) -> str:
        over = f" over {self.vs}" if self.vs else ""
        is_other = self.equal_precision is False
        how = " (another precision; there is no dense file of its own)" if is_other else ""
        return (
            f"{self.model} has a speedup of {self.value:.2f}{over}{how} in case {self.case}, "
            f"needed is {self.threshold:g}"
        )


class DropGate(GateRow):
    """``--max-drop``: points of score lost against the baseline.

    Attributes:
        part: of the rows, such as ``recall[PII]``; ``None`` = all of them.
        standard_error: of the value, on these rows.
    """

    name: Literal["max_drop"] = "max_drop"
    part: str | None = None
    standard_error: float | None = None

    @property
    def label(self) -> str:
        """Return the demand without its threshold, for tables."""
        return f"{self.name} {self.part}" if self.part else self.name

    def _found(self) -> str:
        if self.value is None:
            return f"{self.model} or what it is compared with has no score"
        of, error = self.part or "score", self.standard_error
        noise = "" if error is None else f" (standard error {error:.2f})"
        return (
            f"{self.model} loses {self.value:.2f} points of {of}{noise}, "
            f"allowed is {self.threshold:g}"
        )


class ChangeGate(GateRow):
    """``--fail-if``: a change of ``metric`` since an earlier result, in ``unit``.

    Attributes:
        expression: as written.
        before, after: the figure in both results.
        interval: of their ratio, where there are raw samples.
        outcome: ``too noisy`` where the interval allows no judgement, which fails.
        baseline_ratio: how the baseline's own figure changed.
    """

    name: Literal["fail_if"] = "fail_if"
    expression: str
    metric: str
    unit: str
    before: float | None = None
    after: float | None = None
    interval: tuple[float, float] | None = None
    outcome: Outcome
    baseline_ratio: float | None = None

    @property
    def label(self) -> str:
        """Return the demand as it was written."""
        return self.expression

    @property
    def shown_threshold(self) -> str:
        """Return the amount with its sign."""
        return f"{self.threshold:+g}"

    @property
    def asked(self) -> str:
        """Return the demand as it was written."""
        return self.expression

    @property
    def verdict(self) -> Outcome:
        """Return the outcome."""
        return self.outcome

    def describe(self) -> str:
        """Say in words what was found."""
        if self.reason is None and self.before is None:
            return f"'{self.expression}' found nothing to compare {self.metric} with"
        return super().describe()

    def _found(self) -> str:
        where = f"{self.model} {self.case}" if self.case else str(self.model)
        unit = self.unit if self.unit == "%" else f" {self.unit}"
        change = (
            "has a change without measure"
            if self.value is None
            else f"changed by {self.value:+.2f}{unit}"
        )
        details = []
        if self.interval is not None:
            details.append(f"ratio {self.interval[0]:.3f} to {self.interval[1]:.3f}")
        if self.outcome == "too noisy":
            details.append("too noisy to say; more --runs or --min-seconds narrow it")
        if self.baseline_ratio is not None:
            details.append(f"the baseline itself by {100 * (self.baseline_ratio - 1):+.1f}%")
        words = f" ({', '.join(details)})" if details else ""
        limit = f"{self.threshold:+g}{unit}"
        return f"{self.metric} of {where} {change}{words}, '{self.expression}' allows {limit}"


Gate = Annotated[SpeedupGate | DropGate | ChangeGate, Field(discriminator="name")]


def gate_error(gates: Sequence[GateRow]) -> CofiError | None:
    """Return the error that names every gate that failed (exit code 3), or ``None``."""
    failed = [gate.describe() for gate in gates if not gate.passed]
    if not failed:
        return None
    return CofiError(f"Gate failed: {'; '.join(failed)}.", exit_code=GATE)
