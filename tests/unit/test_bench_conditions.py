"""--fail-if: what is understood, what is refused, and what a condition says of two figures."""

from __future__ import annotations

import math

import pytest

from cofi_cli.benchmarking.gates.fail_if import EXAMPLES, parse_conditions
from cofi_cli.benchmarking.gates.metrics import MEASURES
from cofi_cli.errors import USAGE, CofiError


@pytest.mark.parametrize(
    ("text", "before", "after", "fails"),
    [
        ("p50>+5%", 100.0, 105.1, True),
        ("p50>+5%", 100.0, 105.0, False),
        ("p50>+5%", 100.0, 50.0, False),
        ("p99>+2ms", 10.0, 12.1, True),
        ("p99 > +2 ms", 10.0, 11.9, False),
        ("throughput<-10%", 200.0, 179.0, True),
        ("throughput<-10%", 200.0, 181.0, False),
        ("score<-0.5", 90.0, 89.4, True),
        ("score<-0.5points", 90.0, 89.6, False),
        ("score<-0.5", 100 * (109 / 200), 100 * (108 / 200), False),
        ("score<0", 90.0, 89.99, True),
        ("score<0", 90.0, 90.0, False),
        ("memory>+20MB", 100.0, 121.0, True),
        ("cold_start>+0.5s", 1.0, 1.6, True),
        ("Cold-Start>+.5", 1.0, 1.4, False),
        ("size>+0%", 5.0, 5.0, False),
        ("score<-1%", 0.0, -0.1, True),
        ("mean>+1%", 0.0, 0.0, False),
    ],
)
def test_what_fails(text: str, before: float, after: float, fails: bool) -> None:
    (condition,) = parse_conditions([text])
    assert condition.holds(condition.change(before, after)) is fails


def test_the_examples_of_every_message_are_valid() -> None:
    texts = [example.split('"')[1] for example in EXAMPLES]
    assert [c.text for c in parse_conditions(texts)] == texts
    assert {c.measure.name for c in parse_conditions(texts)} == {"speedup", "score", "memory"}


def test_a_change_from_zero_is_endless() -> None:
    (condition,) = parse_conditions(["p50>+5%"])
    assert condition.change(0.0, 1.0) == math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p50", "--fail-if is 'p50': expected METRIC>CHANGE or METRIC<CHANGE, in quotes"),
        ("p50>=+5%", "--fail-if is 'p50>=+5%': expected"),
        ("p50>+5%%", "expected METRIC>CHANGE"),
        ("p50>5%", "say whether 5 is more or less: +5 or -5"),
        ("p50<+5%", "it would fail where nothing has changed"),
        ("score>-1", "it would fail where nothing has changed"),
        ("size>+3ms", "size changes in % or MB, not in ms"),
        ("p55>+5%", "Unknown metric 'p55'. Did you mean 'p50'? Choices: cold-start, mean, memory,"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(CofiError) as caught:
        parse_conditions(["p50>+5%", text])
    assert caught.value.exit_code == USAGE
    assert message in caught.value.message
    hint = caught.value.hint or ""
    assert text in caught.value.message + hint
    assert [example for example in EXAMPLES if example not in hint] == []
    assert [name for name in MEASURES if name not in hint] == []
