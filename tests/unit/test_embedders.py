"""What is read of a sentence-transformers folder, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertModel

from cofi_cli.architectures import embedder_tokenizer, has_head, load_dense, read_embedder
from cofi_cli.errors import CofiError
from cofi_cli.exporting.checkpoint import load_model
from tests.tiny_embedder import TYPES, WIDTH, save_embedder, write

TANH = "torch.nn.modules.activation.Tanh"


def edit(file: Path, **changes: Any) -> None:
    write(file, json.loads(file.read_text(encoding="utf-8")) | changes)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_both_forms_of_a_pooling_are_read(tmp_path: Path, pooling: str) -> None:
    folder = save_embedder(tmp_path / "m", pooling=pooling)
    old = read_embedder(str(folder))
    write(folder / "1_Pooling" / "config.json", {"pooling_mode": pooling, "include_prompt": True})
    new = read_embedder(str(folder))
    assert old is not None and new is not None
    assert old.pooling == new.pooling == pooling
    assert (old.normalize, old.max_length, old.weight) == (True, 32, None)


def test_a_dense_module_is_read_with_its_activation(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m", dense=TANH, normalize=False)
    model = load_dense(str(folder), num_labels=1, head="embedding")
    assert (model.config.pooler_act, model.config.pooler_size) == ("tanh", WIDTH)
    assert not model.config.normalize
    assert model.model.pooler is not None and model.model.pooler.weight.shape == (WIDTH, 16)


def test_the_tokenizer_takes_no_more_than_the_embedder(tmp_path: Path) -> None:
    assert embedder_tokenizer(str(save_embedder(tmp_path / "m"))).model_max_length == 32


def test_a_default_prompt_is_told_not_added(tmp_path: Path, caplog) -> None:
    folder = save_embedder(tmp_path / "m")
    settings = folder / "config_sentence_transformers.json"
    write(settings, {"prompts": {"query": "query: "}, "default_prompt_name": None})
    embedder_tokenizer(str(folder))
    assert not caplog.messages
    edit(settings, default_prompt_name="query")
    embedder_tokenizer(str(folder))
    assert "puts 'query: ' before each text" in caplog.text


def test_lowering_the_case_is_refused_only_where_it_matters(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m")
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    embedder_tokenizer(str(folder))  # its own tokenizer lowers it anyway
    from transformers import BertTokenizerFast

    cased = BertTokenizerFast(vocab=None, vocab_file=str(folder / "vocab.txt"), do_lower_case=False)
    cased.add_tokens(["case"])
    cased.save_pretrained(folder)
    with pytest.raises(CofiError, match="lowers the case of texts"):
        embedder_tokenizer(str(folder))


REFUSED = {
    "pools by max; supported is cls or mean": {"pooling_mode": "max"},
    "pools by mean and max": {"pooling_mode": ["mean", "max"]},
    "pools by weightedmean_tokens": {"pooling_mode_weightedmean_tokens": True},
    "pools by cls and mean": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
    "leaves prompts out": {"pooling_mode": "mean", "include_prompt": False},
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_pooling_that_is_not_supported(tmp_path: Path, message: str) -> None:
    folder = save_embedder(tmp_path / "m")
    write(folder / "1_Pooling" / "config.json", REFUSED[message])
    with pytest.raises(CofiError, match=message):
        load_dense(str(folder), num_labels=1, head="embedding")


@pytest.mark.parametrize(
    "kinds",
    [
        ["Transformer", "LSTM", "Pooling"],
        ["Transformer", "WeightedLayerPooling", "Pooling"],
        ["Transformer", "Pooling", "Dense", "Dense"],
        ["Transformer", "Pooling", "Normalize", "Dense"],
    ],
)
def test_modules_that_are_not_supported_are_listed(tmp_path: Path, kinds: list[str]) -> None:
    folder = save_embedder(tmp_path / "m")
    write(folder / "modules.json", [{"type": TYPES + kind, "path": "x"} for kind in kinds])
    with pytest.raises(CofiError, match=f"is made of {', '.join(kinds)} .*at most one Dense"):
        load_dense(str(folder), num_labels=1, head="embedding")


def test_an_encoder_in_a_folder_of_its_own_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    write(folder / "modules.json", modules)
    with pytest.raises(CofiError, match="0_Transformer") as caught:
        read_embedder(str(folder))
    assert "save_pretrained" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["Pooling", "Dense", "Normalize"])
@pytest.mark.parametrize("path", ["../victim", "1_Pooling/../../victim", "{}/victim", "..\\victim"])
def test_a_module_outside_of_its_folder_is_refused(tmp_path: Path, kind: str, path: str) -> None:
    """What is read from there would be written at the same place beside a run."""
    path = path.format(tmp_path)
    folder = save_embedder(tmp_path / "m", dense=TANH)
    modules = json.loads((folder / "modules.json").read_text())
    (module,) = [module for module in modules if module["type"].endswith(kind)]
    if kind != "Normalize":  # which has no files
        shutil.copytree(folder / module["path"], tmp_path / "victim")
    module["path"] = path
    write(folder / "modules.json", modules)
    with pytest.raises(CofiError, match="outside of its folder") as caught:
        read_embedder(str(folder))
    assert f"has its {kind} module at {path}" in caught.value.message
    assert "where it comes from" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "torch.nn.modules.activation.Softmax"}, "Softmax"),
        ({"use_residual": True}, "residual"),
        ({"module_input_name": "last_hidden_state"}, "something else"),
    ],
)
def test_a_dense_module_that_is_not_supported(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = save_embedder(tmp_path / "m", dense=TANH)
    edit(folder / "2_Dense" / "config.json", **change)
    with pytest.raises(CofiError, match=message):
        read_embedder(str(folder))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m")
    (folder / "modules.json").write_text("[{")
    with pytest.raises(CofiError, match=r"modules\.json is not JSON"):
        read_embedder(str(folder))


def test_a_bare_encoder_is_no_embedder(tmp_path: Path) -> None:
    folder = save_embedder(tmp_path / "m")
    assert has_head(str(folder), num_labels=1, head="embedding")
    assert load_model(str(folder)).kind == "embedding"
    (folder / "modules.json").unlink()
    assert not has_head(str(folder), num_labels=1, head="embedding")
    with pytest.raises(CofiError, match="no task head") as caught:
        load_model(str(folder))
    assert "modules.json" in (caught.value.hint or "")


def test_a_classifier_beside_modules_stays_one(bert_folder: Path, tmp_path: Path) -> None:
    """sentence-transformers writes modules.json for cross-encoders as well."""
    import shutil

    shutil.copytree(bert_folder, tmp_path / "m")
    write(tmp_path / "m" / "modules.json", [{"type": TYPES + "Transformer", "path": ""}])
    assert load_model(str(tmp_path / "m")).kind == "sequence"


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("dense", [None, TANH])
@pytest.mark.parametrize("normalize", [True, False])
def test_embeddings_are_what_the_modules_say(
    tmp_path: Path, pooling: str, dense: str | None, normalize: bool
) -> None:
    """Written out on transformers' own encoder."""
    folder = save_embedder(tmp_path / "m", pooling=pooling, dense=dense, normalize=normalize)
    ids = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
    mask = (ids != 0).long()
    theirs = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        last = theirs(ids, attention_mask=mask).last_hidden_state
        rows = [state[:1] if pooling == "cls" else state[m == 1] for state, m in zip(last, mask)]
        expected = torch.stack([row.mean(0) for row in rows])
        if dense is not None:
            from safetensors.torch import load_file

            w = load_file(folder / "2_Dense" / "model.safetensors")
            expected = torch.tanh(expected @ w["linear.weight"].T + w["linear.bias"])
        if normalize:
            expected = expected / expected.norm(dim=1, keepdim=True)
        ours = load_dense(str(folder), num_labels=1, head="embedding").eval()
        found = ours.run(ids, mask, torch.zeros_like(ids)).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
