"""One ONNX model in a process of its own, driven by JSON lines on stdin and stdout.

A request is ``{"do": NAME, ...}``; the answer is one JSON object, with ``error``
in it when the request failed. The process ends when its stdin closes, so it
never outlives the process that started it.

    open    model, provider, threads      -> providers, inputs, load_seconds, onnxruntime
    time    batch, seq_len, vocab, seed,
            runs, warmup, seconds         -> samples (seconds)
    logits  input_ids, ...                -> logits
    memory                                -> peak_bytes
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Request = dict[str, Any]
Answer = dict[str, Any]
DTYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class ModelWorker:
    """Holds one session; each public method answers one kind of request."""

    def __init__(self) -> None:
        self._session: Any = None
        self._ort: Any = None
        self._on_gpu = False

    def open(self, *, model: str, provider: str, threads: int) -> Answer:
        """Create the session, as a user of plain onnxruntime would, with threads fixed."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        wanted = dict.fromkeys((provider, "CPUExecutionProvider"))
        usable = [name for name in wanted if name in ort.get_available_providers()]
        started = time.perf_counter()
        self._session = ort.InferenceSession(model, options, providers=usable)
        self._ort = ort
        running = list(self._session.get_providers())
        self._on_gpu = running[0] == "CUDAExecutionProvider"
        return {
            "providers": running,
            "inputs": [i.name for i in self._session.get_inputs()],
            "load_seconds": time.perf_counter() - started,
            "onnxruntime": ort.__version__,
        }

    def time(
        self,
        *,
        batch: int,
        seq_len: int,
        vocab: int,
        seed: int,
        runs: int,
        warmup: int,
        seconds: float | None,
    ) -> Answer:
        """Time ``runs`` calls after ``warmup`` untimed ones; stop early past ``seconds``."""
        call = self._prepared(random_inputs(batch, seq_len, vocab=vocab, seed=seed))
        for _ in range(warmup):
            call()
        samples: list[float] = []
        deadline = None if seconds is None else time.perf_counter() + seconds
        while len(samples) < runs:
            started = time.perf_counter()
            call()
            ended = time.perf_counter()
            samples.append(ended - started)
            if deadline is not None and ended >= deadline:
                break
        return {"samples": samples}

    def logits(self, **inputs: list[list[int]]) -> Answer:
        """Return the logits of a batch given as lists."""
        arrays = {name: np.asarray(value, dtype=np.int64) for name, value in inputs.items()}
        return {"logits": self._session.run(None, self._feed(arrays))[0].astype(float).tolist()}

    def memory(self) -> Answer:
        """Return the largest resident size so far, in bytes (``None`` where unknown)."""
        return {"peak_bytes": peak_bytes()}

    def _feed(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Keep what the graph takes, in the integer type that it takes."""
        wanted = {i.name: DTYPES.get(i.type, np.int64) for i in self._session.get_inputs()}
        return {
            name: arrays[name].astype(dtype) for name, dtype in wanted.items() if name in arrays
        }

    def _prepared(self, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
        """Return the call to time. On a GPU, tensors stay there and the call waits for the end."""
        feed = self._feed(arrays)
        session = self._session
        if not self._on_gpu:
            return lambda: session.run(None, feed)
        binding = session.io_binding()
        for name, array in feed.items():
            binding.bind_ortvalue_input(
                name, self._ort.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
            )
        for output in session.get_outputs():
            binding.bind_output(output.name, "cuda", 0)

        def call() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return call


def random_inputs(batch: int, seq_len: int, *, vocab: int, seed: int) -> dict[str, np.ndarray]:
    """Return valid random ids, a mask of ones and zeros for the types; each (batch, seq_len)."""
    shape = (batch, seq_len)
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


def answer(worker: ModelWorker, request: Request) -> Answer:
    """Answer one request; a failure becomes ``{"error": text}``."""
    methods: dict[str, Callable[..., Answer]] = {
        "open": worker.open,
        "time": worker.time,
        "logits": worker.logits,
        "memory": worker.memory,
    }
    arguments = {key: value for key, value in request.items() if key != "do"}
    try:
        return methods[request["do"]](**arguments)
    except Exception as error:  # the parent decides; this process must go on answering
        return {"error": f"{type(error).__name__}: {error}"}


def serve(requests: Iterable[str], replies: TextIO) -> None:
    """Answer each line until there are no more."""
    worker = ModelWorker()
    for line in requests:
        replies.write(json.dumps(answer(worker, json.loads(line))) + "\n")
        replies.flush()


def main() -> None:
    """Serve on the real stdin and stdout; whatever a library prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
