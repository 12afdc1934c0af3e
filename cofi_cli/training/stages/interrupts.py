"""Ctrl-C, SIGTERM and a closed terminal end a run between two steps, with its state saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from cofi_cli.errors import INTERRUPTED, UNEXPECTED, CofiError

_HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none


class Interrupted(CofiError):
    """The user stopped the run; its state is saved."""

    def __init__(self, where: str, resume: str) -> None:
        super().__init__(
            f"Interrupted {where}; the state is saved.", hint=resume, exit_code=INTERRUPTED
        )


class Diverged(CofiError):
    """The loss or a weight is not a number; the last good checkpoint is kept."""

    def __init__(self, stage: str, step: int, kept: str) -> None:
        super().__init__(
            f"The loss of stage '{stage}' became NaN or infinite at step {step}. "
            f"Stopped; kept: {kept}.",
            hint="Lower the stage's learning rate (--set prune.learning_rate=1e-5, "
            "teacher.learning_rate, recover.learning_rate) or use --precision fp32, "
            "and write to a new folder.",
            exit_code=UNEXPECTED,
        )


def _is_launched() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class StopFlag:
    """Set by the first signal; the second one raises KeyboardInterrupt at once.

    A launcher of several processes passes Ctrl-C on to those that the terminal has told already:
    there the second signal is the first one again, and the launcher ends who does not heed it.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._terminals = [number for number in (1, 2) if os.isatty(number)]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == _HANG_UP:
            self._leave_terminal()
        elif self.is_set and not _is_launched():
            raise KeyboardInterrupt
        self.is_set = True

    def _leave_terminal(self) -> None:
        """Send what is still to be said nowhere: writing to a closed terminal fails."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for terminal in self._terminals:
            os.dup2(nowhere, terminal)
        os.close(nowhere)


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Catch SIGINT, SIGTERM and SIGHUP for the time of a run (main thread only).

    A hang-up that is ignored already, as under nohup, stays ignored.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    signals = [signal.SIGINT, signal.SIGTERM]
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) != signal.SIG_IGN:
        signals.append(_HANG_UP)
    before = {number: signal.signal(number, flag._handle) for number in signals}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
