"""A busy machine: what is counted, which rounds are dropped, when a case is not measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cofi_cli.benchmarking.gates.fail_if import parse_conditions
from cofi_cli.benchmarking.gates.previous_result import unlike
from cofi_cli.benchmarking.gates.regression import regression_gates
from cofi_cli.benchmarking.gates.thresholds import speedup_gates
from cofi_cli.runs.records import ChangeRow, UnmeasuredRow, gate_error
from cofi_cli.runtime import disturbance
from cofi_cli.runtime.disturbance import BUSY, LEAST, SWITCHES, Counters, Watch, read_counters
from cofi_cli.runtime.timing import Case, Inputs, Schedule, time_case
from tests.records import bench_result, case_row, model_row, speedup_row

UNMEASURED = UnmeasuredRow(case="b1-s8", batch=1, seq_len=8, reason=BUSY)


class Machine:
    """The kernel's counters on a machine whose other work is known, by a clock of its own."""

    def __init__(self, others: float = 0.0, *, own: float = 1.0, switches: float = 0.0) -> None:
        self.others, self.own, self.per_second = others, own, switches
        self.at = self.busy = self.ours = self.switches = 0.0

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.busy += (self.own + self.others) * seconds
        self.ours += self.own * seconds
        self.switches += self.per_second * seconds

    def read(self, pids: Sequence[int]) -> Counters:
        return Counters(self.at, self.busy, self.ours, int(self.switches))


class Model:
    """A worker whose runs take a hundredth of the machine's second each."""

    def __init__(self, name: str, machine: Machine, before: Callable[[int], None]) -> None:
        self.name, self.machine, self.before = name, machine, before
        self.starts: list[int] = []

    def feed_random(self, **arguments: Any) -> None:
        pass

    def time(self, runs: int, *, warmup: int = 0, start: int = 0, **limits: Any) -> list[float]:
        usual = self.machine.others
        if runs:
            self.before(len(self.starts))
            self.starts.append(start)
        self.machine.sleep(0.01 * runs)
        self.machine.others = usual
        return [0.01 * len(self.starts)] * runs


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A quiet machine of two cores, on which nobody really waits."""
    made = Machine()
    monkeypatch.setattr(time, "sleep", made.sleep)
    monkeypatch.setattr(time, "perf_counter", lambda: made.at)
    monkeypatch.setattr(disturbance, "read_counters", made.read)
    monkeypatch.setattr(disturbance.machine, "physical_cores", lambda: 2)
    return made


def time_both(machine: Machine, before: Callable[[int], None] = lambda _: None) -> Any:
    models: list[Any] = [Model("dense", machine, before), Model("model", machine, lambda _: None)]
    told: list[str] = []
    timed = time_case(
        models,
        Case(1, 8),
        Schedule(runs=12, rounds=4, warmup=0),
        inputs=Inputs({"dense": 9, "model": 9}, {}),
        watch=Watch([1, 2], threads=2),
        progress=told.append,
    )
    return timed, models, told


def test_a_quiet_machine_drops_nothing(machine: Machine) -> None:
    machine.others = 0.6 * LEAST
    timed, (dense, _), told = time_both(machine)
    assert dense.starts == [0, 3, 6, 9]
    assert [len(turns) for turns in timed.values()] == [4, 4]
    assert told == ["dense", "model"] * 4


def test_a_disturbed_round_is_dropped_for_all_models_and_made_again(machine: Machine) -> None:
    """Turn i of one model is compared with turn i of the other."""

    def before(turn: int) -> None:
        machine.others = 1.0 if turn == 1 else 0.0

    timed, (dense, model), told = time_both(machine, before)
    assert dense.starts == [0, 3, 6, 9, 3], "the one that was disturbed comes again at the end"
    assert model.starts == [0, 6, 9, 3]
    assert [turn[0] for turn in timed["dense"]] == pytest.approx([0.01, 0.03, 0.04, 0.05])
    assert told.count("dense") == 3 and told.count("model") == 3, "no more than were announced"


def test_half_of_the_rounds_are_enough(machine: Machine) -> None:
    def before(turn: int) -> None:
        machine.others = 0.0 if turn in (2, 6) else 1.0

    timed, (dense, _), _ = time_both(machine, before)
    assert len(dense.starts) == 8, "twice what was asked for"
    assert [len(turns) for turns in timed.values()] == [2, 2]


def test_a_machine_that_stays_busy_measures_nothing(machine: Machine) -> None:
    machine.others = 1.5
    timed, (dense, model), _ = time_both(machine)
    assert timed == {}
    assert len(dense.starts) == 8 and model.starts == []


@pytest.mark.parametrize(
    ("cores", "threads", "others", "switches", "is_disturbed"),
    [
        (2, 2, LEAST - 0.01, 0.0, False),
        (2, 2, LEAST + 0.01, 0.0, True),
        (2, 1, 1.0, 0.0, False),  # on the core that is left idle
        (2, 1, 1.2, 0.0, True),
        (2, 4, 0.15, 0.0, True),
        (16, 16, 0.75, 0.0, False),  # 5 % of a large machine
        (16, 16, 0.85, 0.0, True),
        (2, 2, 0.0, 2 * SWITCHES - 10, False),
        (2, 2, 0.0, 2 * SWITCHES + 10, True),  # where others are not counted, as in a container
        (2, 4, 0.0, 1000.0, False),  # threads put each other aside
    ],
)
def test_what_is_a_disturbance(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    threads: int,
    others: float,
    switches: float,
    is_disturbed: bool,
) -> None:
    monkeypatch.setattr(disturbance.machine, "physical_cores", lambda: cores)
    machine.others, machine.own, machine.per_second = others, float(threads), switches
    watch = Watch([1], threads=threads)
    before = watch.look()
    machine.sleep(1.0)
    assert watch.is_disturbed(before) is is_disturbed


def test_a_short_turn_is_looked_at_for_longer(machine: Machine) -> None:
    watch = Watch([1], threads=2)
    before = watch.look()
    machine.sleep(0.002)
    assert not watch.is_disturbed(before)
    assert machine.at == pytest.approx(disturbance.WINDOW)


def test_a_platform_that_counts_nothing_is_never_disturbed() -> None:
    assert read_counters([os.getpid()]) is None, "the tests' own: there is no /proc"
    watch = Watch([os.getpid()], threads=1)
    assert not watch.is_disturbed(watch.look())


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="Linux only")
def test_the_kernels_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle time is of the processors that we may use; what is not idle is busy."""
    tasks = tmp_path / "task"
    times = [SimpleNamespace(idle=i, iowait=w) for i, w in ((3.0, 0.5), (900.0, 0.0), (1.0, 0.0))]
    for thread, count in ((11, 5), (12, 7)):
        (tasks / str(thread)).mkdir(parents=True)
        words = f"Name:\tx\nvoluntary_ctxt_switches:\t99\nnonvoluntary_ctxt_switches:\t{count}\n"
        (tasks / str(thread) / "status").write_text(words)
    monkeypatch.setattr(disturbance.psutil, "cpu_times", lambda percpu: times)
    monkeypatch.setattr(disturbance.psutil.Process, "cpu_affinity", lambda _: [0, 2])
    monkeypatch.setattr(disturbance, "TASKS", str(tasks))
    monkeypatch.setattr(time, "perf_counter", lambda: 10.0)
    found = read_counters([os.getpid()])
    assert found is not None
    assert found.busy == pytest.approx(2 * 10.0 - 4.5)
    assert found.switches == 12
    assert found.ours == pytest.approx(2 * time.process_time(), abs=0.5), "ours and the worker's"


def test_a_gate_on_a_case_that_was_not_measured_fails() -> None:
    fast = speedup_row("model", 9.0, case="b32-s8")
    passed, failed = speedup_gates([fast], 2.0, unmeasured=[UNMEASURED])
    assert passed.passed and not failed.passed
    error = gate_error([passed, failed])
    assert error is not None
    assert error.message == (
        "Gate failed: 'min_speedup 2' cannot be judged, case b1-s8 is not measured: the machine "
        "was busy."
    )
    (only,) = speedup_gates([fast], 2.0, case="b32-s8", unmeasured=[UNMEASURED])
    assert only.passed
    (only,) = speedup_gates([fast], 2.0, case="b1-s8", unmeasured=[UNMEASURED])
    assert not only.passed and only.reason == BUSY


def test_a_change_of_a_case_that_was_not_measured_fails() -> None:
    conditions = parse_conditions(["p50>+5%", "size>+5%"])
    values = {"model": "model", "case": None, "metric": "size", "unit": "MB"}
    figures = {"before": 5.0, "after": 5.0, "ratio": 1.0, "interval": None, "noise": False}
    row = ChangeRow(**values, **figures)
    latency, size = regression_gates(
        conditions, [row], judged=["model"], baseline="dense", unmeasured=[UNMEASURED]
    )
    assert not latency.passed and size.passed
    assert latency.describe() == (
        "'p50>+5%' cannot be judged, case b1-s8 is not measured: the machine was busy"
    )


def test_memory_is_compared_though_latencies_were_dropped() -> None:
    """The runs were made, and took what they took."""
    before = bench_result(models=[model_row("model")], cases=[case_row("model", case="b1-s8")])
    now = before.model_copy(update={"cases": [], "unmeasured": [UNMEASURED]})
    assert unlike(before, now) == {}
