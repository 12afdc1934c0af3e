"""A checkpoint is read as it was written, or not at all."""

import random
from pathlib import Path

import pytest
import torch

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.training.stages.checkpoint import load_state, save_state


def state() -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    return {
        "model": {f"w{i}": torch.randn(40, 30, generator=generator) for i in range(3)},
        "step": 7,
        "optimizer": [{"exp_avg": torch.randn(500, generator=generator)}],
    }


def is_same(left: object, right: object) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(is_same(left[k], right[k]) for k in left)
        )
    if isinstance(left, list):
        return isinstance(right, list) and all(map(is_same, left, right))
    return left == right


def test_a_state_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", state())
    assert is_same(load_state(tmp_path / "state.pt"), state())


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    save_state(file, state())
    whole, rng, refused = file.read_bytes(), random.Random(0), 0
    for _ in range(100):
        place = rng.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        file.write_bytes(flipped)
        try:
            found = load_state(file)
        except CofiError as error:
            assert error.exit_code == UNREACHABLE and str(file) in error.message
            assert error.hint is not None and "start this stage again" in error.hint
            refused += 1
        else:
            assert is_same(found, state()), place
    assert refused > 80


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, kept: float) -> None:
    file = tmp_path / "state.pt"
    save_state(file, state())
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(CofiError, match="cannot be read"):
        load_state(file)
