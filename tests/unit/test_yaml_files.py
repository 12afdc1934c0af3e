"""YAML from anybody: read, or refused in one sentence."""

from pathlib import Path

import pytest

from cofi_cli.errors import CofiError
from cofi_cli.yaml_files import parse_yaml, read_yaml

BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [f"{c}: &{c} [{', '.join(['*' + chr(ord(c) - 1)] * 9)}]" for c in "bcdefghij"]
    + ["seed: *j"]
)


def test_plain_values_are_read(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("seed: 1\nprune: {epochs: 2.5, gates: [head]}\n", encoding="utf-8")
    assert read_yaml(file) == {"seed": 1, "prune": {"epochs": 2.5, "gates": ["head"]}}


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "prune: &a {epochs: *a}",
        "seed: !!int x",
        "seed: !!float x",
        "seed: 0x_",
        "model: 2020-99-99",
        "seed: " + "9" * 5000,
        "seed: " + "[" * 3000,
        "a: [1",
        "seed: 1\nseed: 2",
        "? [a, b]\n: 1",
        "a: !!python/object/apply:os.system [ls]",
    ],
)
def test_whatever_is_wrong_is_one_error(text: str) -> None:
    with pytest.raises(CofiError, match=r"own\.yaml is not YAML") as caught:
        parse_yaml(text, name="own.yaml")
    assert len(caught.value.message) < 500


def test_an_alias_is_named() -> None:
    with pytest.raises(CofiError, match=r"an alias \(\*x\), which is not read here"):
        parse_yaml("a: &x 1\nb: *x", name="own.yaml")
