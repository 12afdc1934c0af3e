"""Whether other work disturbed a turn of a benchmark: what it took of the processors.

Two threads that spin and wait for each other lose far more to a neighbour than one small model
that fits between: on a busy machine a ratio of latencies is wrong, however narrow its interval.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cofi_cli.runs import machine

BUSY = "not measured: the machine was busy"
"""The reason that results give for a case without enough undisturbed turns."""

TASKS = "/proc/{pid}/task"
LEAST, SHARE = 0.1, 0.05
"""Processors that other work may take: a tenth of one, or this share of all of them. A tenth of
one lengthens a run by about a tenth even where all of it falls on one thread; an idle desktop or
CI machine stays below."""
SWITCHES = 80.0
"""Times a second that each thread of a model may be put aside for something else. A thread that
shares its processor with another process is put aside 130 to 190 times. On a quiet machine the
kernel's own threads interrupt one of onnxruntime 8 to 20 times and one of torch 15 to 47."""
WINDOW = 0.1
"""Seconds. The kernel counts idle time in hundredths: a shorter window shows nothing."""


@dataclass(frozen=True)
class Counters:
    """What the kernel has counted since it started; seconds of processor time.

    Attributes:
        at: when, in seconds.
        busy: of all processors that we may use, by whomever (the host of a virtual machine
            among them).
        ours: of our own process and the models'.
        switches: how often threads of the models were put aside.
    """

    at: float
    busy: float
    ours: float
    switches: int


class Watch:
    """Looks at the kernel's counters around each turn.

    Args:
        pids: the processes of the models.
        threads: of each model.
    """

    def __init__(self, pids: Sequence[int], *, threads: int) -> None:
        self._pids, self._threads = pids, threads
        cores = machine.physical_cores()
        self._allowed = max(LEAST, SHARE * cores) + max(0, cores - threads)
        self._may_switch = threads > cores  # they put each other aside

    def look(self) -> Counters | None:
        """Read the counters, ``None`` where the platform has none."""
        return read_counters(self._pids)

    def is_disturbed(self, before: Counters | None) -> bool:
        """Whether other work was in the way since ``before``; never where nothing is counted.

        Other work may use the processors that the models leave idle.
        """
        if before is None:
            return False
        time.sleep(max(0.0, before.at + WINDOW - time.perf_counter()))
        after = self.look()
        if after is None:
            return False
        seconds = after.at - before.at
        others = (after.busy - before.busy - (after.ours - before.ours)) / seconds
        switches = (after.switches - before.switches) / seconds / self._threads
        return others > self._allowed or (switches > SWITCHES and not self._may_switch)


def read_counters(pids: Sequence[int]) -> Counters | None:
    """Return what the kernel has counted so far, ``None`` where it says nothing (not Linux).

    Busy is what is not idle: idle time is exact, where the kernel only samples whose the rest is.
    ``pids`` are the processes of models.
    """
    try:
        at, times = time.perf_counter(), psutil.cpu_times(percpu=True)
        idle = [times[cpu].idle + times[cpu].iowait for cpu in psutil.Process().cpu_affinity()]
        ours = sum(_processor_seconds(pid) for pid in (os.getpid(), *pids))
        return Counters(at, at * len(idle) - sum(idle), ours, sum(map(_switches, pids)))
    except (OSError, ValueError, AttributeError, IndexError):
        return None


def busy_note() -> str | None:
    """Return a warning where other work takes a quarter of the processors or more.

    It looks for half a second: ask before anything of ours runs. The load average would not do:
    after training it counts what has just ended.
    """
    busy = psutil.cpu_percent(interval=0.5) / 100
    if busy < 0.25:
        return None
    return (
        f"The machine is busy ({busy:.0%} of its processors' time): latencies will be noisy, "
        "and what is fastest may come out wrong."
    )


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process with all its threads, to the nanosecond.

    ``clock_getcpuclockid`` makes the clock's number like this; Python does not offer it.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _switches(pid: int) -> int:
    """Return how often threads of a process were put aside while they had more to do."""
    count = 0
    for task in Path(TASKS.format(pid=pid)).iterdir():
        status = (task / "status").read_text(encoding="ascii", errors="replace")
        count += int(status.rpartition("nonvoluntary_ctxt_switches:")[2].split()[0])
    return count
