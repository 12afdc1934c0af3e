"""Several processes of this one, joined by gloo, as torchrun joins its own."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from cofi_cli.errors import CofiError


def run_together(work: Callable[[], object], *, count: int = 2) -> list[Any]:
    """Return what a function returns in each process; a CofiError if it fails, None if it dies.

    They are forked: none has to import torch again.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(count)]

    def child(index: int) -> None:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
        values = (index, index, count, count, port)
        os.environ.update({name: str(value) for name, value in zip(names, values, strict=True)})
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        torch.set_num_threads(1)
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        try:
            answer: object = work()
        except BaseException as error:
            if not isinstance(error, CofiError):
                traceback.print_exc()
            answer = CofiError(str(error), exit_code=getattr(error, "exit_code", -1))
        pipes[index][1].send(answer)
        os._exit(0)

    children = [context.Process(target=child, args=(index,)) for index in range(count)]
    for process in children:
        process.start()
    answers: list[Any] = []
    for (reader, _), process in zip(pipes, children, strict=True):
        while not reader.poll(0.05) and process.is_alive():
            pass
        answers.append(reader.recv() if reader.poll() else None)
    for process in children:
        process.kill()
        process.join()
    return answers
