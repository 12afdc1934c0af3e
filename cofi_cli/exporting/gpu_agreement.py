"""Does a file answer on the GPU as its model does? Other kernels run there than on a processor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.parity import pad_id, parity_batches, torch_answer
from cofi_cli.runs.records import GpuParity
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Rows, pad
from cofi_cli.tolerances import ON_GPU, allowed

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForTask


def check_on_gpu(model: CofiForTask, file: Path, rows: Rows, *, threads: int) -> GpuParity:
    """Compare logits of an fp32 or fp16 file with the torch model's, padded rows among them.

    Raises:
        CofiError: a logit differs by more or is not a number (4), or there is no GPU (5).
    """
    delta, largest = 0.0, 0.0
    with WorkerClient(file, name=file.stem, provider="cuda", threads=threads) as worker:
        for indices in parity_batches(rows):
            batch = pad(rows, indices, pad_id=pad_id(model))
            theirs = worker.logits(batch)
            ours = torch_answer(model, batch)
            is_real = batch["attention_mask"].astype(bool) if model.per_token else ...
            largest = max(largest, float(np.abs(ours[is_real]).max()))
            delta = float(np.maximum(delta, np.abs(theirs - ours)[is_real].max()))
    floor = 0.0 if model.kind == "embedding" else 1.0  # an embedding's numbers are small
    bound = allowed(ON_GPU, largest, floor=floor)
    if not delta <= bound:
        raise CofiError(
            f"On the GPU {file.name} and torch disagree by {delta:.2e}; allowed is {bound:.2e}.",
            hint="Nothing was written. Try --graph plain, or --precision fp32.",
            exit_code=PARITY,
        )
    return GpuParity(max_abs_delta=delta, allowed=bound)
