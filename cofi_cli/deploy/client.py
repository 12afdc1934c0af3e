"""Our end of a worker process: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from cofi_cli.deploy.providers import provider_name, require_provider
from cofi_cli.errors import ENVIRONMENT, UNREACHABLE, CofiError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

TOO_LONG_HINT = "A length beyond the model's positions fails like this: try a smaller --seq-len."


class WorkerClient:
    """An ONNX model in its own process. Use as a context manager.

    Args:
        model: the ONNX file.
        name: what messages call it.
        provider: ``cpu`` or ``cuda``; verified against what the session runs on.
        threads: for onnxruntime within an operator, and for OpenMP.

    Raises:
        CofiError: the file does not open (6), or the provider is not there (5).
    """

    def __init__(self, model: Path, *, name: str, provider: str, threads: int) -> None:
        self.name = name
        wanted = provider_name(provider)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cofi_cli.deploy.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=_environment(threads),
        )
        try:
            path = str(model.resolve())
            self.info = self._ask("open", {"model": path, "provider": wanted, "threads": threads})
            if "error" in self.info:
                raise _cannot_open(model, self.info["error"])
            require_provider(provider, self.info["providers"])
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            CofiError: the request failed, or the process is gone (exit code 5).
        """
        answer = self._ask(do, arguments)
        if "error" in answer:
            shown = {k: v for k, v in arguments.items() if k in ("batch", "seq_len")}
            case = "".join(f", {key} {value}" for key, value in shown.items())
            raise CofiError(
                f"onnxruntime failed on {self.name}{case}: {answer['error']}",
                hint=TOO_LONG_HINT if shown else None,
                exit_code=ENVIRONMENT,
            )
        return answer

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, do: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _gone(self) -> CofiError:
        code = self._process.wait()
        self._log.seek(0)
        last = self._log.read().decode("utf-8", errors="replace").strip().splitlines()[-1:]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return CofiError(
            f"The process that ran {self.name} ended ({how}). {' '.join(last)}".rstrip(),
            hint="Signal 9 is most often too little memory: try a smaller --batch."
            if code == -9
            else "Is onnxruntime installed? pip install onnxruntime.",
            exit_code=ENVIRONMENT,
        )


def _cannot_open(model: Path, error: str) -> CofiError:
    if error.startswith(("ModuleNotFoundError", "ImportError")):
        return CofiError(
            f"onnxruntime is not usable here: {error}.",
            hint="pip install onnxruntime",
            exit_code=ENVIRONMENT,
        )
    return CofiError(
        f"onnxruntime cannot open {model}: {error}",
        hint="Export it again: cofi export --onnx.",
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
