"""Runs that are stopped on the way, and what is left of them."""

from __future__ import annotations

import os
import signal

import torch
from safetensors.torch import load_file

from cofi_cli.runs import RunDir
from cofi_cli.training.stages.progress import Silent


class StopAt(Silent):
    """Sends this process a SIGINT at a step of a stage."""

    def __init__(self, stage: str, step: int) -> None:
        self.at = (stage, step)

    def step(self, row: object) -> None:
        if (row["stage"], row["step"]) == self.at:  # type: ignore[index]
            self.stop()

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


class Crash(RuntimeError):
    """Nothing is saved after it."""


class CrashAt(StopAt):
    """Ends the run at once at a step of a stage, as a kill would."""

    def stop(self) -> None:
        raise Crash


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def differing_weights(left: RunDir, right: RunDir) -> list[str]:
    one, other = weights(left), weights(right)
    assert one.keys() == other.keys()
    return [k for k in one if not torch.equal(one[k], other[k])]


def assert_same_weights(left: RunDir, right: RunDir) -> None:
    assert differing_weights(left, right) == []
