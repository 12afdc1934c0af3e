"""Hostile files, made up by hypothesis: a clear error or none, whatever they hold.

A small sample that is always the same runs here. Many more, at random, and with the failures of
earlier calls first: COFI_FUZZ=2000 pytest tests/unit/test_fuzz.py
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cofi_cli.architectures import (
    dense_config,
    has_head,
    load_dense,
    load_tokenizer,
    read_answers,
    read_embedder,
)
from cofi_cli.cli.given import build_config
from cofi_cli.config import TaskConfig
from cofi_cli.config_errors import config_keys
from cofi_cli.errors import CofiError
from cofi_cli.runtime.inspection import inspect
from cofi_cli.tasks import load_task
from cofi_cli.training.outcome.artefacts import plan_of
from tests.samples import sample
from tests.tiny_embedder import save_embedder
from tests.tiny_onnx import save_onnx

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**13), 10**13)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["\x1b[2J", "../../x", "/dev/zero", "NaN", "*a", "1e400", "\ud7ff", "a" * 3000]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(config_keys())), value=VALUES)
@sample(150)
def test_a_configuration(key: str, value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_text(yaml.safe_dump(nested), encoding="utf-8")
    with suppress(CofiError):
        build_config(
            {"model": "m", "task": "sst2"},
            preset=None,
            config=file,
            overrides=None,
            saved=None,
            starts_from_teacher=True,
            announce=lambda text: None,
        )


@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@\n \t0.\x00"), max_size=60))
@sample(150)
def test_yaml(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_text(text, encoding="utf-8")
    with suppress(CofiError):
        build_config(
            {},
            preset=None,
            config=file,
            overrides=None,
            saved=None,
            starts_from_teacher=True,
            announce=lambda text: None,
        )


def _read_all(folder: Path) -> None:
    name = str(folder)
    for read in (
        lambda: dense_config(name),
        lambda: has_head(name, num_labels=2),
        lambda: read_answers(name),
        lambda: load_tokenizer(name),
        lambda: read_embedder(name),
        lambda: load_dense(name, num_labels=2),
        lambda: plan_of(name),
    ):
        with suppress(CofiError):
            read()


@pytest.fixture(scope="module")
def model(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    shutil.copytree(bert_folder, folder)
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@given(data=st.data())
@sample(40)
def test_a_models_json(name: str, data: st.DataObject, model: Path) -> None:
    """One key of a file that is right otherwise, or the whole."""
    file = model / name
    before = file.read_bytes()
    values = json.loads(before)
    key = data.draw(st.sampled_from([*values, None]))
    value = data.draw(VALUES)
    file.write_text(json.dumps(value if key is None else values | {key: value}), encoding="utf-8")
    try:
        _read_all(model)
    finally:
        file.write_bytes(before)


@given(data=st.data())
@sample(30)
def test_an_embedders_json(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzzed-embedder"
    if not folder.exists():
        save_embedder(folder)
    name = data.draw(st.sampled_from(["modules.json", "1_Pooling/config.json", "plan.json"]))
    value = data.draw(VALUES)
    before = (folder / name).read_bytes() if (folder / name).exists() else None
    (folder / name).write_text(json.dumps(value), encoding="utf-8")
    try:
        _read_all(folder)
    finally:
        (folder / name).unlink() if before is None else (folder / name).write_bytes(before)


@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
@sample(40)
def test_weights_with_another_byte(place: float, byte: int, cut: bool, model: Path) -> None:
    file = model / "model.safetensors"
    before = bytearray(file.read_bytes())
    header = int.from_bytes(before[:8], "little") + 8
    at = int(place * min(len(before) - 1, 2 * header))
    changed = before[:at] if cut else before[:at] + bytes([byte]) + before[at + 1 :]
    file.write_bytes(changed)
    try:
        with suppress(CofiError):
            load_dense(str(model), num_labels=2)
    finally:
        file.write_bytes(before)


@given(place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans())
@sample(60)
def test_an_onnx_file_with_another_bit(
    place: float, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.onnx"
    whole = bytearray(save_onnx(file).read_bytes())
    at = int(place * (len(whole) - 1))
    whole[at] ^= 1 << bit
    file.write_bytes(whole[:at] if cut else whole)
    with suppress(CofiError):
        inspect(file)


CELLS = st.text(st.sampled_from("ab,;\"'\t\n\r\x00é\u202e0."), max_size=40)


@given(
    suffix=st.sampled_from(["csv", "tsv", "jsonl", "json", "conll", "txt"]),
    content=CELLS | st.binary(max_size=40) | VALUES.map(json.dumps),
    kind=st.sampled_from([None, "classification", "regression", "multilabel", "tokens", "span"]),
)
@sample(120)
def test_a_data_file(
    suffix: str, content: str | bytes, kind: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzz.{suffix}"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with suppress(CofiError):
        load_task(TaskConfig(train=str(file), validation=str(file), kind=kind))
