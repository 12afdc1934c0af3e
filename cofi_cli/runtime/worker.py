"""What every worker process does: answer requests, time calls, say how much memory it took.

A request is a pickled pair of name and arguments on stdin; the answer is a pickled dict on
stdout, with ``error`` in it when the request failed. The process ends when its stdin closes,
even in the middle of a run, so it never outlives the process that started it.

    open    model, provider, threads           -> providers, load_seconds, a version
    random  batch, seq_len, vocab, seed        -> inputs (how many batches are held now)
    load    batches                            -> inputs
    time    runs, warmup, start,
            seconds, min_seconds               -> samples (seconds)
    logits  input_ids, ...                     -> logits
    memory                                     -> peak_bytes

multiprocessing's own processes would not do: they import the main module of the program that
starts them, which then is part of the memory and of the start that are measured.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Answer = dict[str, Any]
Arrays = dict[str, np.ndarray]
REQUESTS = ("open", "random", "load", "time", "logits", "memory")


class Worker(ABC):
    """Holds one model; each public method answers one kind of request."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    @abstractmethod
    def open(self, *, model: str, provider: str, threads: int) -> Answer:
        """Load the model, as a user of its runtime would, with threads fixed."""

    @abstractmethod
    def _prepared(self, arrays: Arrays) -> Callable[[], object]:
        """Return the call to time. On a GPU, tensors are there and the call waits for the end."""

    def _between(self) -> tuple[int, ...]:
        """Return the sizes of an input between batch and length, where a row is several texts."""
        return ()

    @abstractmethod
    def _logits(self, arrays: Arrays) -> np.ndarray:
        """Return the answers of a batch, (batch, labels) or (batch, length, labels)."""

    def random(self, *, batch: int, seq_len: int, vocab: int, seed: int) -> Answer:
        """Hold one batch of random ids for the runs to come."""
        arrays = random_inputs(batch, seq_len, vocab=vocab, seed=seed, between=self._between())
        self._calls = [self._prepared(arrays)]
        return {"inputs": 1}

    def load(self, *, batches: Sequence[Mapping[str, Any]]) -> Answer:
        """Hold these batches for the runs to come, which take them in turn."""
        self._calls = [self._prepared(_arrays(batch)) for batch in batches]
        return {"inputs": len(self._calls)}

    def time(
        self,
        *,
        runs: int,
        warmup: int = 0,
        start: int = 0,
        seconds: float | None = None,
        min_seconds: float = 0.0,
    ) -> Answer:
        """Time calls after untimed ones, beginning with batch ``start`` of those held.

        Args:
            runs: at least so many, unless ``seconds`` are over first.
            warmup: untimed calls before them.
            start: number of the first batch, counted around.
            seconds: no further run begins past them; at least one is made.
            min_seconds: runs go on until so many have passed.
        """
        calls = self._calls
        for i in range(warmup):
            calls[(start + i) % len(calls)]()
        samples: list[float] = []
        began = time.perf_counter()
        deadline = None if seconds is None else began + seconds
        ended = began
        while len(samples) < runs or (runs and ended - began < min_seconds):
            call = calls[(start + len(samples)) % len(calls)]
            started = time.perf_counter()
            call()
            ended = time.perf_counter()
            samples.append(ended - started)
            if deadline is not None and ended >= deadline:
                break
        return {"samples": samples}

    def logits(self, **inputs: Any) -> Answer:
        """Return the logits of a batch, in fp32."""
        return {"logits": self._logits(_arrays(inputs)).astype(np.float32)}

    def memory(self) -> Answer:
        """Return the largest resident size so far, in bytes (``None`` where unknown)."""
        return {"peak_bytes": peak_bytes()}


def random_inputs(
    batch: int, seq_len: int, *, vocab: int, seed: int, between: tuple[int, ...] = ()
) -> Arrays:
    """Return valid random ids, a mask of ones and zeros for the types.

    Each is (batch, seq_len), or (batch, *between, seq_len).
    """
    shape = (batch, *between, seq_len)
    return {
        "input_ids": np.random.default_rng(seed).integers(vocab, size=shape, dtype=np.int64),
        "attention_mask": np.ones(shape, dtype=np.int64),
        "token_type_ids": np.zeros(shape, dtype=np.int64),
    }


def peak_bytes() -> int | None:
    """Return the peak resident size of this process.

    ``getrusage`` would not do on Linux: a child starts with its parent's peak.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def answer(worker: Worker, do: str, arguments: Mapping[str, Any]) -> Answer:
    """Answer one request; a failure becomes ``{"error": text}``."""
    methods = {name: getattr(worker, name) for name in REQUESTS}
    try:
        result: Answer = methods[do](**arguments)
    except Exception as error:  # the parent decides; this process must go on answering
        return {"error": f"{type(error).__name__}: {error}"}
    return result


def serve(worker: Worker, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each request until the other side closes."""
    while True:
        try:
            do, arguments = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(answer(worker, do, arguments), replies)
        replies.flush()


def end_with_parent() -> None:
    """End this process when stdin closes, also in the middle of a run, which may be endless.

    A parent that was killed cannot end its workers. The thread sleeps until then. Systems without
    ``poll`` notice after the run.
    """
    if not hasattr(select, "poll"):
        return
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # that the other side has gone is always reported

    def wait() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def run(worker: Worker) -> None:
    """Serve on the real stdin and stdout; whatever a library prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent()
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(worker, sys.stdin.buffer, replies)


def _arrays(given: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(value).astype(np.int64) for name, value in given.items()}
