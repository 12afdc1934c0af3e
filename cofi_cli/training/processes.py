"""The processes of a run, by accelerate: who takes which rows, what is summed, who writes.

Every process goes through the same steps with the same gates, seeds and schedules, and holds the
same weights. A batch is the one-process batch: each process takes its share of the rows, padded
alike, and weighs its losses by the share of the rows, tokens or labels that they are means over.
Sums over the processes are then the one-process loss, its gradients and the errors that layers
are matched by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object
from torch import Tensor

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.claim import claim

_BUCKET = 8_000_000
"""Numbers of gradients that are summed in one message, about."""
_PATIENCE = timedelta(days=1)
"""How long a process waits for one that is alive: the main one may tokenise or score for hours."""

T = TypeVar("T")


class Processes:
    """All processes of a run, seen from one of them. One process is the ordinary case.

    Attributes:
        count: of processes.
        index: of this one, from 0.
        machine: that this one runs on, from 0.
        local_count, local_index: the same as count and index, of this machine's.
        seconds: spent in talking to the others and in waiting for them.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.count, self.index = int(accelerator.num_processes), int(accelerator.process_index)
        self.local_index = int(accelerator.local_process_index)
        self.local_count, self.machine, self.seconds = 1, 0, 0.0
        if self.count > 1:
            places = self.gather([self.local_index])
            self.machine = places[: self.index + 1].count(0) - 1
            self.local_count = self.gather([self.machine]).count(self.machine)

    @property
    def is_main(self) -> bool:
        """Whether this process writes, shows and logs."""
        return self.index == 0

    @property
    def place(self) -> tuple[int, ...]:
        """Parts that this process adds to the seed of its dropout; none for the main one."""
        return () if self.is_main else (self.index,)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self._accelerator.device
        return device

    @contextmanager
    def _talk(self) -> Iterator[None]:
        """Count the time, and say in our words that another process ended.

        To torch that is a closed connection.
        """
        began = time.perf_counter()
        try:
            yield
        except RuntimeError as error:
            raise CofiError(
                "Another process of this run has ended, so that this one cannot go on.",
                hint="Its own message says why. Then start all processes again with --resume.",
                exit_code=ENVIRONMENT,
            ) from error
        finally:
            self.seconds += time.perf_counter() - began

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """Return this process's part of some rows, or of some batches."""
        return rows[self.index :: self.count]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            with self._talk():
                self._accelerator.wait_for_everyone()

    def write(self, write: Callable[[], object]) -> None:
        """Let the main process write; the others go on when it has."""
        if self.is_main:
            write()
        self.wait()

    def from_main(self, value: T) -> T:
        """Return the main process's value, so that all decide alike."""
        if self.count == 1:
            return value
        values: list[Any] = [value]
        with self._talk():
            broadcast_object_list(values)
        found: T = values[0]
        return found

    def by_main(self, work: Callable[[], T]) -> T:
        """Let the main process work, and return to all what it found."""
        return self.from_main(work() if self.is_main else cast(T, None))

    def exists(self, path: Path) -> bool:
        """Whether a file exists for the main process, which may be about to write it."""
        return self.from_main(path.exists())

    def gather(self, values: list[T]) -> list[T]:
        """Return the values of all, in the order of processes."""
        if self.count == 1:
            return values
        with self._talk():
            found: list[T] = gather_object(values)
        return found

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, the same bits in each."""
        if self.count == 1:
            return tensor
        with self._talk():
            summed: Tensor = self._accelerator.reduce(tensor.to(self.device), reduction="sum")
        return summed.to(tensor.device)

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replace gradients by their sum over all processes."""
        if self.count == 1:
            return
        dense = []
        for weight in weights:
            if weight.grad is not None and weight.grad.is_sparse:
                weight.grad = self._sum_rows(weight.grad)
            elif weight.grad is not None:
                dense.append(weight.grad)
        for part in _buckets(dense):
            flat = self.sum(torch.cat([g.flatten().to(self.device, torch.float32) for g in part]))
            for grad, summed in zip(part, flat.split([g.numel() for g in part])):
                grad.copy_(summed.view_as(grad))

    def _sum_rows(self, grad: Tensor) -> Tensor:
        """Return the sum of a table's gradients, of which each process has other rows."""
        grad = grad.coalesce()
        with self._talk():
            pad, gather = self._accelerator.pad_across_processes, self._accelerator.gather
            rows = gather(pad(grad.indices()[0], pad_index=-1))
            values = gather(pad(grad.values()))
        real = rows >= 0
        return torch.sparse_coo_tensor(rows[real][None], values[real], grad.shape).coalesce()


def _buckets(grads: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for grad in grads:
        bucket.append(grad)
        if sum(g.numel() for g in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def open_processes(device: str) -> Processes:
    """Return the processes that were launched: one, or as many as torchrun or accelerate started.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        CofiError: CUDA is asked for and absent.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise CofiError(
            "train.device is 'cuda', but torch sees no CUDA device.",
            hint="Install a CUDA build of torch, or use --set train.device=cpu.",
            exit_code=ENVIRONMENT,
        )
    accelerator = Accelerator(
        cpu=device == "cpu" or not torch.cuda.is_available(),
        mixed_precision="no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    return Processes(accelerator)


@contextmanager
def claimed(run: RunDir, processes: Processes) -> Iterator[None]:
    """Hold a run's folder: the main process for all of them.

    Raises:
        CofiError: another command holds it, or it is a file.
    """
    with claim(run) if processes.is_main else nullcontext():
        processes.wait()
        yield
