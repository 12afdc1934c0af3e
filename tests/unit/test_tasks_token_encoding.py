"""Words to sub-words: where labels sit, and that no gold entity gets lost."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cofi_cli.tasks import KINDS, Ragged, Split, Task, collate
from cofi_cli.tasks.encoding.words import NOWHERE, encode_words, for_words

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "love", "##lace", "##s", "paris", "the"]
CLS, SEP = 2, 3
LABELS = ("O", "B-x", "I-x")


def wordpiece(**options) -> PreTrainedTokenizerFast:
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64, **options
    )


def byte_level(*, prefix: bool) -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "ad", "ada", "Ġa", "Ġada"])}
    merges = [("a", "d"), ("ad", "a"), ("Ġ", "ada")]
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    # transformers 4.57 sets the pre-tokenizer by its own argument.
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="!", model_max_length=64, add_prefix_space=prefix
    )


def task(split: Split, max_length: int = 64) -> Task:
    metrics = ("entity_f1", "precision", "recall", "accuracy")
    return Task("t", KINDS["tokens"], LABELS, metrics, {"validation": split}, max_length)


def test_a_label_sits_on_the_first_sub_word():
    split = Split([("ada", "lovelaces", "the"), ("paris",)], [[1, 2, 0], [1]])
    encoded = encode_words(split, wordpiece(), 64)
    pieces = [[PIECES[i] for i in row] for row in encoded.input_ids]
    assert pieces[0] == ["[CLS]", "ada", "love", "##lace", "##s", "the", "[SEP]"]
    assert encoded.labels[0].tolist() == [-100, 1, 2, -100, -100, 0, -100]
    assert encoded.labels[1].tolist() == [-100, 1, -100]
    assert encoded.gold.places.tolist() == [1, 2, 5, 8]
    batch = collate(encoded, [1, 0], pad_id=0)
    assert batch["labels"].tolist()[0] == [-100, 1, -100, -100, -100, -100, -100]


def perfect(encoded) -> Ragged:
    """Return logits that answer every label that the loss sees."""
    logits = np.zeros((encoded.gold.tokens, len(LABELS)), dtype=np.float32)
    seen = encoded.labels.flat >= 0
    logits[np.flatnonzero(seen), encoded.labels.flat[seen]] = 1.0
    return Ragged.over(logits, encoded.lengths)


@pytest.mark.parametrize("max_length", [4, 5, 7, 64])
def test_a_long_sentence_is_cut_and_scored_whole(max_length):
    words = ("ada", "lovelaces", "the") * 5
    split = Split([words, ("paris",)], [[1, 2, 0] * 5, [1]])
    encoded = encode_words(split, wordpiece(), max_length)
    assert encoded.lengths.max() <= max_length
    whole = encode_words(split, wordpiece(), 64)
    inner = [i for row in encoded.input_ids for i in row if i not in (CLS, SEP)]
    assert inner == [i for row in whole.input_ids for i in row if i not in (CLS, SEP)]
    known = encoded.labels.flat[encoded.labels.flat >= 0]
    assert known.tolist() == [1, 2, 0] * 5 + [1], "every word once"
    assert task(split).score(perfect(encoded), encoded.reference)["entity_f1"] == 100.0


def test_what_the_model_does_not_see_counts_as_missed():
    split = Split([("ada", "\u200b\u200b", "the"), ("\u00ad",)], [[1, 2, 0], [1]])
    tokenizer = wordpiece()
    from tokenizers import normalizers

    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    encoded = encode_words(split, tokenizer, 64)
    assert (encoded.gold.places == NOWHERE).tolist() == [False, True, False, True]
    assert encoded.input_ids[1].tolist() == [CLS, SEP]
    scores = task(split).score(perfect(encoded), encoded.reference)
    # Found is "ada" alone. Wanted are "ada ..." and the other row's only word; 2 of 4 words agree.
    assert (scores["precision"], scores["recall"], scores["accuracy"]) == (0.0, 0.0, 50.0)


def test_scores_are_read_from_first_sub_words_alone():
    split = Split([("lovelaces", "the")], [[1, 0]])
    encoded = encode_words(split, wordpiece(), 64)
    outputs = perfect(encoded)
    outputs.flat[2:4] = [0.0, 0.0, 9.0]  # later pieces of the first word say I-x
    assert task(split).score(outputs, encoded.reference)["entity_f1"] == 100.0
    outputs.flat[1] = [1.0, 0.0, 0.0]
    assert task(split).score(outputs, encoded.reference)["entity_f1"] == 0.0


@pytest.mark.parametrize("bad", ["short", "nan"])
def test_outputs_that_do_not_fit(bad):
    split = Split([("ada", "the")], [[1, 0]])
    encoded = encode_words(split, wordpiece(), 64)
    outputs = perfect(encoded)
    if bad == "short":
        outputs = Ragged([outputs.flat[:-1]], dtype=np.float32)
    else:
        outputs.flat[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"3 rows of logits|not finite in 1 of 4"):
        task(split).score(outputs, encoded.reference)


def test_rows_without_labels_may_be_plain_text():
    split = Split([("ada the",), ("ada", "the")], None)
    encoded = encode_words(split, wordpiece(), 64)
    assert encoded.input_ids[0].tolist() == encoded.input_ids[1].tolist()
    assert encoded.labels is None and encoded.reference is None


def test_a_limit_counts_sentences():
    rows = Split([("ada",) * 9, ("the",), ("paris",)], [[1] * 9, [0], [1]])
    encoded = task(rows, 5).encode("validation", wordpiece(), limit=2)
    assert len(encoded) == 4 and len(encoded.gold.tags) == 2


def test_more_rows_than_one_call_takes():
    rows = Split([("ada", "lovelaces")] * 1001 + [("paris", "the")], [[1, 2]] * 1001 + [[1, 0]])
    encoded = encode_words(rows, wordpiece(), 64)
    assert encoded.labels[-1].tolist() == [-100, 1, 0, -100]
    assert encoded.gold.places[-2:].tolist() == [encoded.gold.tokens - 3, encoded.gold.tokens - 2]


def test_words_of_a_byte_level_tokenizer_follow_a_space(tmp_path):
    bare = byte_level(prefix=False)
    made = for_words(bare)
    text = bare(" ada ada")["input_ids"]
    encoded = encode_words(Split([("ada", "ada")], [[1, 0]]), bare, 64)
    assert encoded.input_ids[0].tolist() == text, "as in running text"
    assert bare("ada")["input_ids"] != made("ada")["input_ids"], "the given one is left alone"
    made.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert for_words(again) is again, "it is saved as what it is"
    assert again(["ada", "ada"], is_split_into_words=True)["input_ids"] == text


def test_tokenizers_that_need_nothing_are_kept():
    for tokenizer in (wordpiece(), byte_level(prefix=True)):
        assert for_words(tokenizer) is tokenizer
