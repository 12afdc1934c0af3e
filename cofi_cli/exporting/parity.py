"""Is an ONNX file the same function as the torch model that it was exported from?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cofi_cli.errors import ENVIRONMENT, PARITY, CofiError
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import GpuParity, ParityCase, Proof
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Rows, by_length, pad
from cofi_cli.runtime.outputs import STATES, answer_of
from cofi_cli.tolerances import EXPORT, ON_GPU, allowed


def check_parity(
    model: CofiForTask,
    file: Path,
    rows: Rows,
    *,
    name: str,
    tolerance: float = EXPORT,
    block: int | None = None,
) -> Proof:
    """Compare logits over several batch sizes and lengths, padded and not.

    Args:
        model: in eval mode; its config names the padding id.
        file: the exported file.
        rows: what to feed both.
        name: what messages call it.
        tolerance: the largest difference that passes; see :func:`cofi_cli.tolerances.allowed`.
        block: tokens in a block of the graph; adds a batch of two blocks and a row.

    Raises:
        CofiError: a logit differs by more, or is not a number (exit code 4).
    """
    session = open_session(file)
    cases, most = [], 0.0
    for indices in parity_batches(rows, block=block):
        batch = pad(rows, indices, pad_id=pad_id(model))
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, taken(session, batch)), strict=True))
        pairs = [(answer_of(outputs), torch_answer(model, batch))]
        if STATES in outputs and len(outputs) > 1:  # beside the answer, not the answer itself
            pairs.append((outputs[STATES], torch_answer(model, batch, states=True)))
        size, *_, length = batch["input_ids"].shape
        is_padded = bool((batch["attention_mask"] == 0).any())
        deltas = []
        for theirs, ours in pairs:
            if theirs.shape != ours.shape:
                raise _differs(name, f"shapes {theirs.shape} and {ours.shape}")
            deltas.append(float(np.abs(theirs - ours).max()))
            bound = allowed(tolerance, float(np.abs(ours).max()))
            most = max(most, bound)
            if not deltas[-1] <= bound:
                where = f"batch {size}, length {length}, {'padded' if is_padded else 'no padding'}"
                raise _differs(
                    name, f"a logit by {deltas[-1]:.2e} ({where}); allowed is {bound:.1e}"
                )
        cases.append(
            ParityCase(batch=size, seq_len=length, padded=is_padded, max_abs_delta=max(deltas))
        )
    return Proof(
        max_abs_delta=max(case.max_abs_delta for case in cases),
        tolerance=tolerance,
        allowed=most,
        inputs=rows.origin,
        cases=cases,
    )


def check_on_gpu(model: CofiForTask, file: Path, rows: Rows, *, threads: int) -> GpuParity:
    """Compare logits of an fp32 or fp16 file with the torch model's, padded rows among them.

    Other kernels run on a GPU than on a processor.

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


def parity_batches(rows: Rows, *, block: int | None = None) -> list[list[int]]:
    """Choose the batches: single rows, the most padding, and batches of 4 and 16 as they come.

    With ``block`` tokens in a block also one of two blocks and a row, rows repeated as needed.
    """
    order = by_length(rows, len(rows))[0]
    shortest, longest, middle = order[0], order[-1], order[len(order) // 2]
    chosen = [[shortest], [middle], [longest], [shortest, longest], order[:4], order[-4:]]
    chosen.append(list(range(min(16, len(rows)))))
    if block:
        longest_row = len(rows.input_ids[longest])
        size = 2 * max(1, block // longest_row) + 1
        chosen.append([order[-1 - i % len(order)] for i in range(size)])
    return [batch for place, batch in enumerate(chosen) if batch not in chosen[:place]]


def open_session(file: Path) -> Any:
    """Open a file on the processor, as plain onnxruntime does."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise CofiError(
            f"onnxruntime is not installed, and the export is checked with it: {error}.",
            hint="pip install onnxruntime",
            exit_code=ENVIRONMENT,
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds share no base
        raise CofiError(
            f"onnxruntime does not open {file.name}: {error}",
            hint="Try another --graph or --opset, or another version of onnxruntime.",
            exit_code=PARITY,
        ) from error


def taken(session: Any, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what of a batch a graph takes."""
    names = {i.name for i in session.get_inputs()}
    return {name: array for name, array in batch.items() if name in names}


def torch_answer(
    model: CofiForTask, batch: dict[str, np.ndarray], *, states: bool = False
) -> np.ndarray:
    """Return what the torch model answers to a padded batch, or the states of all tokens."""
    with torch.inference_mode():
        inputs: dict[str, Any] = {key: torch.from_numpy(value) for key, value in batch.items()}
        found = model.run(**inputs)
        answer: np.ndarray = (found.states[-1] if states else found.logits).numpy()
    return answer


def pad_id(model: Any) -> int:
    """Return the model's padding id; 0 where it names none."""
    return int(model.config.pad_token_id or 0)


def _differs(name: str, how: str) -> CofiError:
    return CofiError(
        f"ONNX and torch disagree on {name}: {how}.",
        hint="Nothing was written. Try another --opset, or another version of torch.",
        exit_code=PARITY,
    )
