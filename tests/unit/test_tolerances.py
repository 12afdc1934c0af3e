"""One rule for all proofs that two computations are one model: relative to the largest answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting import parity
from cofi_cli.exporting.parity import check_on_gpu, check_parity
from cofi_cli.runtime.inputs import Rows
from cofi_cli.tolerances import COMPACT, EXPORT, ON_GPU, allowed

ROWS = Rows([[1, 2], [1, 2, 3]], [[0, 0], [0, 0, 0]], "two rows")
MODEL: Any = SimpleNamespace(
    config=SimpleNamespace(pad_token_id=0), kind="sequence", per_token=False
)


def answers(largest: float, off: float = 0.0) -> np.ndarray:
    """Two logits a row; the smaller one is off."""
    return np.asarray([[largest, 0.25 + off]])


def test_small_answers_have_the_bound_of_one() -> None:
    assert allowed(EXPORT, 46.0) == pytest.approx(46e-4)
    assert allowed(EXPORT, 0.1) == EXPORT
    assert allowed(ON_GPU, 0.1, floor=0.0) == pytest.approx(0.002)
    assert COMPACT < EXPORT < ON_GPU


@pytest.mark.parametrize(
    ("largest", "off", "passes"),
    [
        (46.0, 2.4e-4, True),  # of a correct graph of 24 layers
        (46.0, 5e-3, False),
        (0.5, 9e-5, True),
        (0.5, 2e-4, False),
        (46.0, float("nan"), False),
    ],
)
def test_an_export_is_judged_by_its_largest_logit(
    monkeypatch: pytest.MonkeyPatch, largest: float, off: float, passes: bool
) -> None:
    session = SimpleNamespace(
        get_inputs=lambda: [],
        get_outputs=lambda: [SimpleNamespace(name="logits")],
        run=lambda names, feed: [answers(largest, off)],
    )
    monkeypatch.setattr(parity, "open_session", lambda file: session)
    monkeypatch.setattr(parity, "torch_answer", lambda model, batch: answers(largest))
    if passes:
        proof = check_parity(MODEL, Path("model.onnx"), ROWS, name="model.onnx")
        assert proof.max_abs_delta == pytest.approx(off)
        assert proof.allowed == pytest.approx(1e-4 * max(1.0, largest))
        return
    with pytest.raises(
        CofiError, match=r"disagree on model\.onnx: a logit by .*; allowed"
    ) as caught:
        check_parity(MODEL, Path("model.onnx"), ROWS, name="model.onnx")
    assert caught.value.exit_code == PARITY


def test_a_gpu_is_judged_by_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.logits = lambda batch: answers(46.0, 0.5)

        def __enter__(self) -> Worker:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(parity, "WorkerClient", Worker)
    monkeypatch.setattr(parity, "torch_answer", lambda model, batch: answers(46.0))
    proof = check_on_gpu(MODEL, Path("model.onnx"), ROWS, threads=1)
    assert proof.max_abs_delta == pytest.approx(0.5) and proof.allowed == pytest.approx(0.92)
