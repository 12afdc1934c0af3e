"""One ONNX model in a process of its own; :mod:`~cofi_cli.runtime.worker` has the requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cofi_cli.runtime.outputs import answer_of
from cofi_cli.runtime.worker import Answer, Arrays, Worker, run

GPU = "CUDAExecutionProvider"
DTYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class ModelWorker(Worker):
    """Holds one session of onnxruntime."""

    _session: Any
    _ort: Any
    _on_gpu = False
    _replays = False
    _recorded = 0

    def open(self, *, model: str, provider: str, threads: int, replay: bool = False) -> Answer:
        """Create the session, as a user of plain onnxruntime would, with threads fixed.

        ``replay`` has CUDA record the kernels of each input's first run, and launch them at
        once from then on.
        """
        import onnxruntime as ort

        if provider == GPU and hasattr(ort, "preload_dlls"):
            ort.preload_dlls()  # those that pip installed, which the loader would not find

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        wanted = dict.fromkeys((provider, "CPUExecutionProvider"))
        usable = [name for name in wanted if name in ort.get_available_providers()]
        started = time.perf_counter()
        chosen: list[Any] = [
            (name, {"enable_cuda_graph": "1"}) if replay and name == GPU else name
            for name in usable
        ]
        self._session = ort.InferenceSession(model, options, providers=chosen)
        self._ort, self._replays = ort, replay
        running = list(self._session.get_providers())
        self._on_gpu = running[0] == GPU
        return {
            "providers": running,
            "inputs": [i.name for i in self._session.get_inputs()],
            "load_seconds": time.perf_counter() - started,
            "onnxruntime": ort.__version__,
        }

    def _between(self) -> tuple[int, ...]:
        """Return the sizes that a graph has fixed between batch and length."""
        return tuple(self._session.get_inputs()[0].shape[1:-1])

    def _logits(self, arrays: Arrays) -> np.ndarray:
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(None, self._feed(arrays))
        return answer_of(dict(zip(names, values, strict=True)))

    def _feed(self, arrays: Arrays) -> Arrays:
        """Keep what the graph takes, in the integer type that it takes."""
        wanted = {i.name: DTYPES.get(i.type, np.int64) for i in self._session.get_inputs()}
        return {
            name: arrays[name].astype(dtype) for name, dtype in wanted.items() if name in arrays
        }

    def _prepared(self, arrays: Arrays) -> Callable[[], object]:
        feed = self._feed(arrays)
        session = self._session
        if not self._on_gpu:
            return lambda: session.run(None, feed)
        binding, on_gpu = session.io_binding(), self._ort.OrtValue.ortvalue_from_numpy
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, on_gpu(array, "cuda", 0))
        options = self._ort.RunOptions()
        if self._replays:
            # A recording writes to one place for good, and each input has a recording.
            for name, answer in self._answers(feed).items():
                binding.bind_ortvalue_output(name, on_gpu(answer, "cuda", 0))
            self._recorded += 1
            options.add_run_config_entry("gpu_graph_id", str(self._recorded))
        else:
            for output in session.get_outputs():
                binding.bind_output(output.name, "cuda", 0)

        def call() -> None:
            session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()

        return call

    def _answers(self, feed: Arrays) -> Arrays:
        """Return arrays of the outputs' shapes; a name stands for a size of the input."""
        rows, *_, length = feed["input_ids"].shape
        known = {"batch": rows, "length": length}
        return {
            output.name: np.zeros(
                [known[size] if isinstance(size, str) else size for size in output.shape],
                dtype=np.float32,
            )
            for output in self._session.get_outputs()
        }


if __name__ == "__main__":
    run(ModelWorker())
