"""Arrays cross the worker's JSON lines with every bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cofi_cli.runtime.protocol import pack, unpack


@pytest.mark.parametrize("dtype", ["int64", "float32", ">f4", "float16"])
@pytest.mark.parametrize("shape", [(3, 4, 2), (2,), (), (0, 5)])
def test_an_array_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 1e3).astype(dtype)
    back = unpack(json.loads(json.dumps(pack(array))))
    assert back.shape == array.shape and back.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back, array)


def test_a_part_of_an_array_comes_back() -> None:
    array = np.arange(24, dtype=np.int64).reshape(4, 6)[:, ::2]
    np.testing.assert_array_equal(unpack(pack(array)), array)


def test_lists_are_taken_too() -> None:
    assert unpack([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
