"""Used up memory is one clear error, which names the batch size to try."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cofi_cli.errors import ENVIRONMENT, CofiError, enough_memory
from cofi_cli.runs import RunDir
from cofi_cli.training import finetune, prune
from cofi_cli.training.stages.plain import PlainStage
from tests.tiny import quick_config

CPU = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


@pytest.mark.parametrize(
    ("run", "setting"),
    [
        (prune, "--set prune.batch_size=4"),  # seen when steps are timed
        (finetune, "--set teacher.batch_size=4"),
    ],
)
def test_a_step_that_memory_does_not_hold(
    run: object,
    setting: str,
    bert_folder: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def step(*_: object) -> None:
        raise RuntimeError(CPU)

    monkeypatch.setattr(PlainStage, "step", step)
    with pytest.raises(CofiError) as caught:
        run(quick_config(bert_folder, reviews), RunDir(tmp_path / "run"))  # type: ignore[operator]
    assert "with batches of 8." in caught.value.message
    assert setting in str(caught.value.hint)
    assert caught.value.exit_code == ENVIRONMENT


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_what_says_that_memory_is_used_up(error: Exception) -> None:
    told = pytest.raises(CofiError, match="Out of memory in here with batches of 1")
    with told, enough_memory("in here", batch_size=1, setting="--batch"):
        raise error
    other = pytest.raises(RuntimeError, match="shapes")
    with other, enough_memory("in here", batch_size=1, setting="--batch"):
        raise RuntimeError("shapes do not fit")
