"""Trimmed vocabularies: every architecture and kind of tokenizer, every text."""

from pathlib import Path
from typing import Literal

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cofi_cli.architectures import load_tokenizer
from cofi_cli.architectures.checkpoints import ADAPTERS
from cofi_cli.errors import CofiError
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.modeling import CofiForTask
from cofi_cli.vocabulary.checkpoint import needed_ids, write_trimmed
from cofi_cli.vocabulary.choice import AUTO, MOST_GROWTH, Choice, choose, compare
from cofi_cli.vocabulary.pieces import Pieces
from tests.architectures import TINY, class_of
from tests.tiny_tokenizers import KINDS, save, texts, train

TEXTS = texts(300, seed=5)
OTHERS = texts(80, seed=6)
HOSTILE = ("", " ", "😀🎉 ka", "鱼与熊掌", "a\x00\x07\tb", "ka" * 5000, "né [MASK] <mask> ##ri ▁mo")
"""No text, emoji, Chinese, control characters, 10,000 letters, special tokens in the text."""


def saved(folder: Path, name: str) -> Path:
    """Write a random checkpoint with a tokenizer of its architecture's kind."""
    model_type, arguments = TINY[name]
    size = save(folder, KINDS[name]).get_vocab_size()
    own = load_tokenizer(str(folder))
    ids = {
        "pad_token_id": own.pad_token_id,
        "bos_token_id": own.cls_token_id,
        "eos_token_id": own.sep_token_id,
    }
    # As many published checkpoints, with more rows than the tokenizer has pieces.
    arguments = arguments | ids | {"vocab_size": size + 3}
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(model_type, num_labels=3, **arguments)
    class_of(name, "sequence")(config).save_pretrained(folder)
    return folder


def trimmed(folder: Path, size: int | Literal["auto"]) -> tuple[Path, Choice]:
    choice = choose(load_tokenizer(str(folder)), TEXTS, size, needed=needed_ids(str(folder)))
    target = folder.with_name(f"trimmed-{size}")
    write_trimmed(str(folder), target, choice.trimmed)
    return target, choice


def answer(model: CofiForTask, tokenizer: PreTrainedTokenizerFast, text: str) -> torch.Tensor:
    batch = tokenizer(text, truncation=True, return_tensors="pt")
    ids = batch["input_ids"]
    with torch.inference_mode():
        mask, types = torch.ones_like(ids), torch.zeros_like(ids)
        return model.run(input_ids=ids, attention_mask=mask, token_type_ids=types).logits


@pytest.mark.parametrize("name", KINDS)
def test_fewer_pieces_answer_as_all_do(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "whole", name)
    pieces = Pieces(load_tokenizer(str(folder)), needed_ids(str(folder)))
    size = (pieces.smallest + 2 * pieces.size) // 3
    target, choice = trimmed(folder, size)
    before, after = (load_tokenizer(str(own)) for own in (folder, target))
    assert len(after) == len(choice.trimmed.rows) == size < len(before)
    bare = Tokenizer.from_file(str(target / "tokenizer.json"))
    own, old = load_model(str(target)), load_model(str(folder))
    assert own.model.encoder.embeddings.word.weight.shape[0] == len(after)
    assert own.config.position_offset == old.config.position_offset
    for role in ("pad", "cls", "sep", "mask", "unk"):
        token = getattr(before, f"{role}_token")
        assert after.convert_tokens_to_ids(token) == getattr(after, f"{role}_token_id") is not None
    alike = [text for text in OTHERS if before.tokenize(text) == after.tokenize(text)]
    assert 10 < len(alike) < len(OTHERS)
    for text in alike[:10]:
        assert torch.equal(answer(old, before, text), answer(own, after, text))
    for text in (*OTHERS[:20], *HOSTILE):
        ids = after(text, truncation=True)["input_ids"]
        assert ids == bare.encode(text).ids and max(ids) < len(after)
        unknown = (t.tokenize(text).count(t.unk_token) for t in (after, before))
        assert next(unknown) <= next(unknown)
        assert torch.isfinite(answer(own, after, text)).all()
    # transformers opens the folder with its own classes.
    theirs = class_of(name, "sequence").from_pretrained(target).eval()
    assert theirs.config.pad_token_id == after.pad_token_id
    assert len(AutoTokenizer.from_pretrained(target)) == theirs.config.vocab_size


@pytest.mark.parametrize("kind", ["WordPiece", "BPE of bytes", "BPE of characters", "Unigram"])
def test_what_stays_and_what_it_costs(tmp_path: Path, kind: str) -> None:
    save(tmp_path, kind)
    tokenizer = load_tokenizer(str(tmp_path))
    pieces = Pieces(tokenizer)
    growths = []
    for size in (pieces.smallest, pieces.smallest + 30, pieces.size):
        choice = choose(tokenizer, TEXTS, size)
        before, after = (
            Tokenizer.from_file(f"{tmp_path}/tokenizer.json"),
            choice.trimmed.tokenizer(),
        )
        found = compare(before, after, OTHERS, unknown=tokenizer.unk_token)
        growths.append(found.growth)
        assert found.unknown <= found.unknown_before
        for a, b in zip(*(t.encode_batch(OTHERS) for t in (before, after)), strict=True):
            if set(a.tokens) <= after.get_vocab().keys():
                assert a.tokens == b.tokens, "a text of kept pieces splits as before"
    assert growths[0] > growths[1] > growths[2] == 0 == found.changed
    auto = choose(tokenizer, TEXTS, AUTO)
    assert auto.facts.held_out.growth < MOST_GROWTH
    assert pieces.smallest < len(auto.trimmed.rows) < pieces.size


def test_a_missing_form_of_a_character_gets_the_vector_of_another(tmp_path: Path) -> None:
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "ab", "##c", "##cad")
    backend = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]"
    )
    pieces = Pieces(tokenizer, range(5))
    made = pieces.trimmed(pieces.smallest, [0] * len(words))
    own = made.tokenizer()
    assert own.encode("abcad").tokens == ["a", "##b", "##c", "##a", "##d"]
    rows = {piece: words[made.rows[i]] for piece, i in own.get_vocab().items()}
    assert (rows["##a"], rows["##b"], rows["##d"], rows["a"]) == ("a", "ab", "##cad", "a")


def test_clear_errors(tmp_path: Path) -> None:
    save(tmp_path, "WordPiece")
    tokenizer = load_tokenizer(str(tmp_path))
    with pytest.raises(CofiError, match=r"vocab is 7; the tokenizer needs at least .* 5 special"):
        choose(tokenizer, TEXTS, 7)
    with pytest.raises(CofiError, match="There are 2 different texts to choose a vocabulary by"):
        choose(tokenizer, ["ka", "ka", " ", "mo"], AUTO)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "ka": 1}, unk_token="[UNK]"))
    other = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.raises(CofiError, match="of kind 'WordLevel', whose vocabulary cannot be trimmed"):
        choose(other, TEXTS, 100)


def test_every_architecture_has_a_row() -> None:
    assert KINDS.keys() == ADAPTERS.keys()
    assert train("Unigram").get_vocab_size() > 60
