"""Who runs how often on what: least seconds, the task's batches, one build of onnxruntime."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cofi_cli.benchmarking.task_batches import cut
from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.runtime import disturbance, timing
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.providers import require_one_build, require_provider, why_unserved
from cofi_cli.runtime.timing import REST, Case, Inputs, Length, Schedule, cross, time_case
from cofi_cli.runtime.worker import Answer, Arrays, Worker


class Sleeper(Worker):
    """A model that takes some time and remembers what it was given."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.seen: list[Any] = []

    def open(self, *, model: str, provider: str, threads: int) -> Answer:
        return {}

    def _prepared(self, arrays: Arrays) -> Callable[[], object]:
        def call() -> None:
            time.sleep(self.seconds)
            self.seen.append(arrays["input_ids"].tolist())

        return call

    def _logits(self, arrays: Arrays) -> np.ndarray:
        return np.zeros((1, 2))


class Client:
    """The client's face around a worker in this very process."""

    def __init__(self, name: str, seconds: float = 0.0) -> None:
        self.name, self.worker = name, Sleeper(seconds)

    def feed_random(self, **arguments: Any) -> None:
        self.worker.random(**arguments)

    def feed(self, batches: Any, *, what: str) -> None:
        self.worker.load(batches=list(batches))

    def time(self, runs: int, **arguments: Any) -> list[float]:
        samples: list[float] = self.worker.time(runs=runs, **arguments)["samples"]
        return samples


BATCHES = [{"input_ids": [[i]]} for i in range(5)]


def test_runs_go_on_until_the_least_seconds_are_over() -> None:
    worker = Sleeper(0.01)
    worker.random(batch=1, seq_len=2, vocab=3, seed=0)
    samples = worker.time(runs=2, min_seconds=0.1)["samples"]
    assert 5 <= len(samples) <= 11
    assert sum(samples) >= 0.09
    assert len(worker.time(runs=3, min_seconds=0.0)["samples"]) == 3
    assert worker.time(runs=0, warmup=2, min_seconds=9.0)["samples"] == []
    assert len(worker.time(runs=50, seconds=0.03)["samples"]) <= 5


def test_batches_are_taken_in_turn_from_where_the_turn_starts() -> None:
    worker = Sleeper()
    assert worker.load(batches=BATCHES) == {"inputs": 5}
    worker.time(runs=4, start=3)
    assert worker.seen == [[[3]], [[4]], [[0]], [[1]]]


def test_a_slow_and_a_fast_model_take_the_very_same_batches() -> None:
    """By its seconds alone the slow one would stop early, and see fewer lengths."""
    slow, fast = Client("slow", 0.004), Client("fast")
    schedule = Schedule(runs=8, rounds=4, warmup=0, max_seconds=0.024)
    inputs = Inputs({}, {1: {"slow": BATCHES, "fast": BATCHES}})
    timed = time_case([slow, fast], Case(1, "task"), schedule, inputs=inputs)  # type: ignore[list-item]
    counts = {name: [len(turn) for turn in turns] for name, turns in timed.items()}
    assert counts["slow"] == counts["fast"]
    assert 4 <= sum(counts["slow"]) <= 6, "and not 8: there were seconds for so many"
    assert slow.worker.seen == fast.worker.seen


def test_the_fastest_model_decides_what_the_least_seconds_need() -> None:
    a, b = Client("a", 0.002), Client("b", 0.004)
    schedule = Schedule(runs=2, rounds=2, warmup=0, max_seconds=2.0, min_seconds=0.05)
    inputs = Inputs({}, {1: {"a": BATCHES, "b": BATCHES}})
    timed = time_case([a, b], Case(1, "task"), schedule, inputs=inputs)  # type: ignore[list-item]
    assert sum(map(len, timed["a"])) == sum(map(len, timed["b"])) >= 12


@pytest.mark.parametrize("length", [5, "task"])
def test_a_model_starts_when_the_threads_of_another_have_come_to_rest(
    monkeypatch: pytest.MonkeyPatch, length: Length
) -> None:
    told: list[str] = []

    class Told(Client):
        def time(self, runs: int, **arguments: Any) -> list[float]:
            told.append(self.name if runs else "warm-up")
            return super().time(runs, **arguments)

    monkeypatch.setattr(timing.time, "sleep", lambda s: told.append("rest") if s == REST else None)
    models: list[Any] = [Told("a"), Told("b")]
    inputs = Inputs({"a": 7, "b": 7}, {2: {"a": BATCHES, "b": BATCHES}})
    schedule = Schedule(runs=4, rounds=2, warmup=1)
    time_case(models, Case(2, length), schedule, inputs=inputs)
    turns = 3 if length == "task" else 2  # it is found out first what can be afforded
    assert told == ["warm-up"] * 2 + ["rest", "a", "rest", "b"] * turns
    told.clear()
    time_case(models[:1], Case(2, length), schedule, inputs=inputs)
    assert "rest" not in told, "there is no other"


def test_fixed_lengths_are_random_ids_below_the_vocabulary() -> None:
    client = Client("a")
    inputs = Inputs({"a": 7}, {}, seed=3)
    timed = time_case([client], Case(2, 5), Schedule(runs=2, warmup=0), inputs=inputs)  # type: ignore[list-item]
    assert [len(turn) for turn in timed["a"]] == [1, 1]
    ids = np.asarray(client.worker.seen)
    assert ids.shape[1:] == (2, 5) and ids.min() >= 0 and ids.max() < 7


def test_cases_of_the_tasks_rows() -> None:
    assert [case.name for case in cross((1, 32), (64, "task"))] == [
        "b1-s64",
        "b32-s64",
        "b1-task",
        "b32-task",
    ]


def test_rows_are_cut_as_they_come_each_batch_padded_to_its_longest() -> None:
    ids = [[5], [6, 7], [8, 9, 10], [11], [12]]
    made = cut(Rows(ids, [[0] * len(row) for row in ids], "dev"), 0, size=2)
    assert [batch["input_ids"].tolist() for batch in made.batches] == [
        [[5, 0], [6, 7]],
        [[8, 9, 10], [11, 0, 0]],
    ]
    assert made.batches[0]["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert made.mean_tokens == pytest.approx(7 / 4)
    assert made.mean_length == pytest.approx(2.5)
    with pytest.raises(CofiError, match=r"A batch of 8 is more than the 5 rows of dev\."):
        cut(Rows(ids, ids, "dev"), 0, size=8)


def test_two_builds_of_onnxruntime_are_refused() -> None:
    require_one_build({"onnxruntime": "1.32.0", "onnxruntime-gpu": None})
    require_one_build({"onnxruntime": None, "onnxruntime-gpu": "1.31.0"})
    for provider, keep in (("cpu", "onnxruntime"), ("cuda", "onnxruntime-gpu")):
        with pytest.raises(CofiError) as caught:
            require_one_build(
                {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}, provider=provider
            )
        assert caught.value.exit_code == ENVIRONMENT
        assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.0 are both installed" in (
            caught.value.message
        )
        assert caught.value.hint == (
            f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install {keep}"
        )


def test_torch_on_another_device_than_asked() -> None:
    with pytest.raises(CofiError) as caught:
        require_provider("cuda", ["CPUExecutionProvider"], runtime="torch")
    assert "but torch runs on CPUExecutionProvider" in caught.value.message
    assert "--no-torch" in (caught.value.hint or "")


def test_what_a_provider_does_not_serve() -> None:
    assert "half-precision" in (why_unserved("cpu", "fp16") or "")
    assert why_unserved("cuda", "fp16") is None
    assert why_unserved("cpu", "fp32") is None


@pytest.mark.parametrize(("busy", "is_busy"), [(5.0, False), (20.0, False), (60.0, True)])
def test_a_busy_machine_is_said_to_be_one(busy, is_busy, monkeypatch):
    monkeypatch.setattr(disturbance.psutil, "cpu_percent", lambda interval: busy)
    note = disturbance.busy_note()
    assert (note is not None) is is_busy
    assert note is None or f"{busy:.0f}% of its processors" in note
