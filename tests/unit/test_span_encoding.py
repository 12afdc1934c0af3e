"""Features: the same as the library's own windows; labels that lead back to the answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS, Split, collate
from cofi_cli.tasks.encoding.questions import QUESTION_TOKENS

WORDS = [f"w{i}" for i in range(40)]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "?", ",", "."]


def tokenizer(*, like: str = "bert") -> PreTrainedTokenizerFast:
    """A tokenizer with BERT's frame, or with RoBERTa's: two separators and no token types."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(VOCAB)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    pair = {
        "bert": "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        "roberta": "[CLS]:0 $A:0 [SEP]:0 [SEP]:0 $B:0 [SEP]:0",
    }[like]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", *(["token_type_ids"] if like == "bert" else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=512,
        model_input_names=names,
    )


def questions(rows: int = 30) -> Split:
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(rows):
        context = "  ".join(f"{w}." for w in rng.choice(WORDS, size=rng.integers(1, 40)))
        begin = int(rng.integers(len(context) - 1))
        answer = context[begin : begin + int(rng.integers(1, 12))].strip()
        start = context.index(answer, begin) if answer else 0
        texts.append((" ".join(rng.choice(WORDS, size=rng.integers(1, 9))) + "?", context))
        labels.append([(answer or context[0], start)])
    return Split(texts, labels)


@pytest.mark.parametrize("like", ["bert", "roberta"])
@pytest.mark.parametrize(("length", "stride"), [(384, 128), (30, 8), (30, 0)])
def test_features_are_the_librarys(like: str, length: int, stride: int) -> None:
    words, split = tokenizer(like=like), questions()
    ours = KINDS["span"].encode(split, words, length, doc_stride=stride)
    theirs = words(
        [question for question, _ in split.texts],
        [context for _, context in split.texts],
        truncation="only_second",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    assert [row.tolist() for row in ours.input_ids] == theirs["input_ids"]
    types = theirs.get("token_type_ids") or [[0] * len(row) for row in theirs["input_ids"]]
    assert [row.tolist() for row in ours.token_type_ids] == types
    assert ours.gold.question_of.tolist() == list(theirs["overflow_to_sample_mapping"])
    assert (length == 30) == (len(ours) > len(split)), "some contexts are longer than a window"
    for feature, (lead, _, size) in enumerate(ours.gold.windows):
        context = [i for i, part in enumerate(theirs.sequence_ids(feature)) if part == 1]
        assert context == list(range(lead, lead + size))


@pytest.mark.parametrize("like", ["bert", "roberta"])
def test_labels_lead_back_to_the_answer(like: str) -> None:
    """They name the fewest tokens that cover it; it is in a window or [CLS] says that it is not."""
    split = questions()
    encoded = KINDS["span"].encode(split, tokenizer(like=like), 30, doc_stride=8)
    gold, seen = encoded.gold, set()
    assert encoded.labels.shape == (len(encoded), 2) and encoded.labels.dtype == np.int64
    for feature, (begin, end) in enumerate(encoded.labels):
        question = int(gold.question_of[feature])
        (answer, start), context = split.labels[question][0], split.texts[question][1]
        offsets = gold.offsets[gold.context_of[question]]
        covering = [i for i, (a, b) in enumerate(offsets) if a < start + len(answer) and b > start]
        lead, first, size = gold.windows[feature]
        inside = first <= covering[0] and covering[-1] < first + size
        if not inside:
            assert (begin, end) == (0, 0)
            continue
        seen.add(question)
        assert (begin - lead + first, end - lead + first) == (covering[0], covering[-1])
        text = context[offsets[covering[0], 0] : offsets[covering[-1], 1]]
        assert answer in text
    assert len(seen) > 25


def test_a_question_without_an_answer_points_at_the_first_token() -> None:
    encoded = KINDS["span"].encode(Split([("w1", "w2 w3")], [[]]), tokenizer(), 16, doc_stride=4)
    assert encoded.labels.tolist() == [[0, 0]]
    assert encoded.gold.answers == [[]]


def test_a_long_question_is_cut_so_that_the_context_has_room() -> None:
    question = " ".join(WORDS * 3)
    encoded = KINDS["span"].encode(
        Split([(question, "w2 w3")], None), tokenizer(), 384, doc_stride=4
    )
    assert encoded.gold is None and encoded.labels is None and encoded.reference is None
    assert encoded.lengths.tolist() == [QUESTION_TOKENS + 2 + 3]
    short = KINDS["span"].encode(
        Split([(question, "w2 w3 w4")], None), tokenizer(), 8, doc_stride=9
    )
    assert short.lengths.max() == 8 and short.lengths[0] == 8
    assert short.input_ids[0].tolist()[-2] == VOCAB.index("w4"), "2 of the question, 3 of it"


def test_a_batch_has_positions_as_labels() -> None:
    encoded = KINDS["span"].encode(questions(), tokenizer(), 30, doc_stride=8)
    batch = collate(encoded, [3, 0, 5], pad_id=0)
    assert batch["labels"].dtype == torch.int64
    assert batch["labels"].tolist() == encoded.labels[[3, 0, 5]].tolist()
    assert batch["input_ids"].shape[1] == int(encoded.lengths[[3, 0, 5]].max())


def test_no_room_is_an_error() -> None:
    split = Split([("w1", "w2")], None)
    with pytest.raises(CofiError, match=r"task.max_length is 4.*no room") as caught:
        KINDS["span"].encode(split, tokenizer(), 4, doc_stride=2)
    assert caught.value.hint == "Add --max-length 384"


def test_a_tokenizer_without_offsets_is_an_error() -> None:
    class Slow:
        is_fast, model_max_length = False, 512

    with pytest.raises(CofiError, match="Spans need a fast tokenizer"):
        KINDS["span"].encode(Split([("w1", "w2")], None), Slow(), 64, doc_stride=2)
