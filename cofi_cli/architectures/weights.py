"""The tensors of a checkpoint: one file, or several and their index; safetensors or pickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from cofi_cli.architectures.hub import UNREACHABLE_HINT, find_file, load_json
from cofi_cli.errors import UNREACHABLE, CofiError, reason

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of a checkpoint's one file, the first choice first."""
INDEX = ".index.json"
"""Follows such a name where the tensors lie in several files, which it lists."""
_LFS = b"version https://git-lfs"

Tensors = dict[str, Tensor]


def load_weights(name: str, *, folder: str = "") -> Tensors:
    """Return all tensors of a model, or of a folder inside it.

    Raises:
        CofiError: there are none, or they cannot be read (exit code 6).
    """
    return _gathered(name, folder, _load)


def weight_shapes(name: str) -> Tensors:
    """Return all tensors of a model without their values: names and shapes on torch's meta device.

    Raises:
        CofiError: there are none, or they cannot be read (exit code 6).
    """
    return _gathered(name, "", _outline)


def _gathered(name: str, folder: str, read: Callable[[Path], Tensors]) -> Tensors:
    found: Tensors = {}
    for path in _files(name, folder):
        try:
            found |= read(path)
        except Exception as error:  # unpickling what are no weights fails in many ways
            if _is_lfs_pointer(path):
                raise CofiError(
                    f"{path} is a pointer of git-lfs, not the weights.",
                    hint="git lfs pull",
                    exit_code=UNREACHABLE,
                ) from error
            is_code = isinstance(error, pickle.UnpicklingError) and "weights_only" in str(error)
            told = "it holds code, which is not run" if is_code else reason(error)
            raise CofiError(
                f"The weights in {path} cannot be read: {told}.",
                hint="Use a model.safetensors of it." if is_code else "Copy or download it again.",
                exit_code=UNREACHABLE,
            ) from error
    return found


def _files(name: str, folder: str) -> list[Path]:
    """Return the files that hold a model's tensors, at least one."""
    start = f"{folder}/" if folder else ""
    for file in WEIGHTS:
        if (path := find_file(name, start + file)) is not None:
            return [path]
        index = load_json(name, start + file + INDEX)
        if index is not None:
            return [_part(name, start, part) for part in sorted(set(index["weight_map"].values()))]
    where = f"'{name}'" + (f", {folder}," if folder else "")
    raise CofiError(
        f"{where} has no weights: none of {', '.join(WEIGHTS)} is there.",
        hint=UNREACHABLE_HINT,
        exit_code=UNREACHABLE,
    )


def _part(name: str, start: str, file: str) -> Path:
    path = find_file(name, start + file)
    if path is None:
        raise CofiError(
            f"'{name}' lacks {start}{file}, which its index of weights lists.",
            hint="Copy or download the folder again.",
            exit_code=UNREACHABLE,
        )
    return path


def _load(path: Path) -> Tensors:
    if path.suffix == ".safetensors":
        return load_file(path)
    return _unpickled(path, "cpu")


def _outline(path: Path) -> Tensors:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return {
                key: torch.empty(file.get_slice(key).get_shape(), device="meta")
                for key in file.keys()  # noqa: SIM118  it is no mapping
            }
    return _unpickled(path, "meta")


def _unpickled(path: Path, device: str) -> Tensors:
    loaded: object = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise ValueError("it holds something else than named tensors")
    return dict(loaded)


def _is_lfs_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS
