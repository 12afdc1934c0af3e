"""Our end of a worker process: start it, ask it, end it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from cofi_cli.errors import ENVIRONMENT, UNREACHABLE, CofiError
from cofi_cli.runtime.providers import provider_name, require_provider

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

TOO_LONG_HINT = "A length beyond the model's positions fails like this: try a smaller --seq-len."

TIMEOUT = 1800.0
"""Seconds until an answer has to be there: half an hour, for no run of a model takes as long."""

MODULES = {
    "onnxruntime": "cofi_cli.runtime.onnx_worker",
    "torch": "cofi_cli.runtime.torch_worker",
}
"""Runtime -> the module whose process serves it."""


class WorkerClient:
    """A model in its own process. Use as a context manager.

    Args:
        model: the ONNX file; for torch a checkpoint folder.
        name: what messages call it.
        provider: ``cpu`` or ``cuda``; verified against what the session runs on.
        threads: for the runtime within an operator, and for OpenMP.
        runtime: a key of :data:`MODULES`.
        replay: on ``cuda`` whether kernels are recorded once and replayed (a CUDA graph).
        timeout: seconds until an answer has to be there; the process is ended after them.

    Attributes:
        info: what the process said when the model was open.
        start_seconds: from the process's start until then.

    Raises:
        CofiError: the file does not open (6), the provider is not there or the process does
            not answer (5).
    """

    def __init__(
        self,
        model: Path,
        *,
        name: str,
        provider: str,
        threads: int,
        runtime: str = "onnxruntime",
        replay: bool = False,
        timeout: float = TIMEOUT,
    ) -> None:
        self.name, self.runtime = name, runtime
        self._timeout = timeout
        self._inputs = ""
        wanted = provider_name(provider)
        started = time.perf_counter()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULES[runtime]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(threads),
        )
        try:
            path = str(model.resolve())
            asked = {"model": path, "provider": wanted, "threads": threads}
            self.info = self._ask("open", asked | ({"replay": True} if replay else {}))
            self.start_seconds = time.perf_counter() - started
            if "error" in self.info:
                raise _cannot_open(model, self.info["error"], runtime)
            require_provider(provider, self.info["providers"], runtime=runtime)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            CofiError: the request failed, or the process is gone or hangs (exit code 5).
        """
        answer = self._ask(do, arguments)
        if "error" in answer:
            is_run = do == "time"
            raise CofiError(
                f"{self.runtime} failed on {self.name}{self._inputs if is_run else ''}: "
                f"{answer['error']}",
                hint=TOO_LONG_HINT if is_run else None,
                exit_code=ENVIRONMENT,
            )
        return answer

    def feed_random(self, *, batch: int, seq_len: int, vocab: int, seed: int) -> None:
        """Have the runs to come take one batch of random ids, (batch, seq_len)."""
        self._inputs = f", batch {batch}, seq_len {seq_len}"
        self.ask("random", batch=batch, seq_len=seq_len, vocab=vocab, seed=seed)

    def feed(self, batches: Sequence[Mapping[str, Any]], *, what: str) -> None:
        """Have the runs to come take these batches in turn; ``what`` names them in messages."""
        self._inputs = f", {what}"
        self.ask("load", batches=list(batches))

    def logits(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return what the model answers to a padded batch."""
        logits: np.ndarray = self.ask("logits", **batch)["logits"]
        return logits

    def time(self, runs: int, **arguments: Any) -> list[float]:
        """Time runs on what was fed; returns seconds. See ``Worker.time`` for the arguments."""
        samples: list[float] = self.ask("time", runs=runs, **arguments)["samples"]
        return samples

    def close(self) -> None:
        """End the process: kindly by closing its stdin, else by force."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, do: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        hangs = threading.Event()

        def end() -> None:
            hangs.set()
            self._process.kill()  # which ends the reading below

        timer = threading.Timer(self._timeout, end)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump((do, arguments), self._process.stdin)
            self._process.stdin.flush()
            answer: dict[str, Any] = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise self._silent(do) if hangs.is_set() else self._gone() from None
        finally:
            timer.cancel()
        return answer

    def _silent(self, do: str) -> CofiError:
        return CofiError(
            f"The process that runs {self.name} has not answered '{do}' within "
            f"{self._timeout:g} seconds and was ended.",
            hint="Try a smaller --batch or --seq-len; a graph with an endless loop never answers.",
            exit_code=ENVIRONMENT,
        )

    def _gone(self) -> CofiError:
        code = self._process.wait()
        self._log.seek(0)
        last = self._log.read().decode("utf-8", errors="replace").strip().splitlines()[-1:]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return CofiError(
            f"The process that ran {self.name} ended ({how}). {' '.join(last)}".rstrip(),
            hint="Signal 9 is most often too little memory: try a smaller --batch."
            if code == -9
            else f"Is {self.runtime} installed? pip install {self.runtime}.",
            exit_code=ENVIRONMENT,
        )


@contextmanager
def open_workers(
    files: Mapping[str, Path | Mapping[str, Any]], *, provider: str, threads: int
) -> Iterator[list[WorkerClient]]:
    """Open a worker for each file, by its name, at once; all end together.

    Args:
        files: name -> file, or arguments of :class:`WorkerClient`.
        provider, threads: of all.

    Raises:
        CofiError: a file does not open (6), or the provider is not there (5).
    """
    with ExitStack() as stack:
        # On a GPU each takes some seconds to start.
        with ThreadPoolExecutor(len(files)) as pool:
            opening = [
                pool.submit(
                    WorkerClient,
                    **(own if isinstance(own, Mapping) else {"model": own}),
                    name=name,
                    provider=provider,
                    threads=threads,
                )
                for name, own in files.items()
            ]
        for worker in opening:
            if worker.exception() is None:
                stack.enter_context(worker.result())
        yield [worker.result() for worker in opening]


def _cannot_open(model: Path, error: str, runtime: str) -> CofiError:
    if error.startswith(("ModuleNotFoundError", "ImportError")):
        return CofiError(
            f"{runtime} is not usable here: {error}.",
            hint=f"pip install {runtime}",
            exit_code=ENVIRONMENT,
        )
    return CofiError(
        f"{runtime} cannot open {model}: {error}",
        hint="Export it again: cofi export --onnx."
        if runtime == "onnxruntime"
        else "Leave the PyTorch baselines out: --no-torch.",
        exit_code=UNREACHABLE,
    )


def _environment(threads: int) -> dict[str, str]:
    """The worker finds this very package, nothing in the working folder, and fixed threads."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **{name: str(threads) for name in THREAD_VARIABLES},
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
    }
