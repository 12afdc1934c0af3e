"""Tokenising, collating and batching."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS, Encoded, Ragged, Split, batches, collate, eval_batches

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcde"]
PAD, _, CLS, SEP, A, B, C, D, E = range(9)


def tokenizer(*, token_types: bool = True, limit: int = 32) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(VOCAB)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=limit,
        model_input_names=names if token_types else [names[0], names[2]],
    )


def test_pairs_are_typed_and_truncated_from_the_longer_side():
    split = Split([("a b c d", "e"), ("a", "b")], [1, 0])
    encoded = KINDS["classification"].encode(split, tokenizer(), 7)
    assert encoded.input_ids[0].tolist() == [CLS, A, B, C, SEP, E, SEP]
    assert encoded.token_type_ids[0].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert encoded.lengths.tolist() == [7, 5]
    assert encoded.labels.dtype == np.int64
    assert len(encoded) == 2


def test_token_types_are_zero_where_the_tokenizer_gives_none():
    encoded = KINDS["classification"].encode(
        Split([("a", "b")], None), tokenizer(token_types=False), 16
    )
    assert encoded.token_type_ids[0].tolist() == [0] * 5
    assert encoded.labels is None


def test_more_rows_than_one_call_takes():
    encoded = KINDS["classification"].encode(
        Split([("a",), ("b c",)] * 1001, None), tokenizer(), 16
    )
    assert len(encoded.input_ids) == 2002
    assert encoded.input_ids[-1].tolist() == [CLS, B, C, SEP]
    with pytest.raises(IndexError):
        encoded.input_ids[2002]


def test_length_above_the_models():
    with pytest.raises(CofiError) as caught:
        KINDS["classification"].encode(Split([("a",)], [0]), tokenizer(limit=32), 64)
    assert caught.value.message == (
        "task.max_length is 64, but this model takes at most 32 tokens."
    )
    assert caught.value.hint == "Add --set task.max_length=32"


def test_collate_pads_on_the_right():
    encoded = KINDS["classification"].encode(
        Split([("a",), ("b",), ("c d e",)], [0.5, 1.0, 2.0]), tokenizer(), 16
    )
    batch = collate(encoded, [2, 0], pad_id=PAD)
    assert batch["input_ids"].tolist() == [[CLS, C, D, E, SEP], [CLS, A, SEP, PAD, PAD]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[0] * 5, [0] * 5]
    assert batch["labels"].dtype == torch.float32
    assert batch["labels"].tolist() == [2.0, 0.5]
    assert batch["index"].tolist() == [2, 0]
    assert {batch[key].dtype for key in batch if key != "labels"} == {torch.int64}


@pytest.mark.parametrize(
    ("longest", "padded"),
    [(1, 4), (4, 4), (5, 8), (31, 32), (33, 36), (63, 64), (65, 72), (200, 208), (250, 251)],
)
def test_collate_to_lengths_that_recur(longest, padded):
    """At most an eighth more or 3 tokens, and not beyond the longest row there is."""
    rows = Ragged([np.full(n, A) for n in (1, longest, 251)])
    lengths = np.array([len(row) for row in rows])
    encoded = Encoded(rows, rows, None, lengths)
    batch = collate(encoded, [1, 0], pad_id=PAD, round_up=True)
    assert batch["input_ids"].shape == (2, padded)
    assert batch["attention_mask"].sum(1).tolist() == [longest, 1]
    assert (batch["input_ids"][:, longest:] == PAD).all()
    assert collate(encoded, [1, 0], pad_id=PAD)["input_ids"].shape == (2, longest)


def test_collate_without_labels():
    encoded = KINDS["classification"].encode(Split([("a",)], None), tokenizer(), 16)
    assert "labels" not in collate(encoded, [0], pad_id=PAD)


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(4, 60, 5003)


def plan(lengths, **options):
    given = {"batch_size": 32, "seed": 57, "epoch": 0, "group_by_length": True, **options}
    return batches(lengths, **given)


@pytest.mark.parametrize("group", [True, False])
def test_every_row_once_and_only_one_short_batch(lengths, group):
    found = plan(lengths, group_by_length=group)
    assert sorted(row for batch in found for row in batch) == list(range(5003))
    assert sorted(map(len, found))[:2] == [5003 % 32, 32]
    assert isinstance(found[0][0], int)


@pytest.mark.parametrize("group", [True, False])
def test_batches_depend_on_seed_and_epoch_alone(lengths, group):
    first = plan(lengths, group_by_length=group)
    assert plan(lengths, group_by_length=group) == first
    assert plan(lengths, group_by_length=group, epoch=1) != first
    assert plan(lengths, group_by_length=group, seed=58) != first


def padding(lengths, found):
    return sum(len(b) * lengths[b].max() for b in found) / lengths.sum()


def test_grouping_pads_little_and_stays_random(lengths):
    found = plan(lengths)
    assert padding(lengths, found) < 1.05
    assert padding(lengths, plan(lengths, group_by_length=False)) > 1.5
    # the order of batches is not the order of lengths
    means = [lengths[batch].mean() for batch in found]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3
    # rows that meet in one epoch mostly part in the next
    mates = {row: set(batch) for batch in found for row in batch}
    again = [len(mates[b[0]].intersection(b)) - 1 for b in plan(lengths, epoch=1)]
    assert np.mean(again) < 10


def test_eval_batches_start_with_the_longest():
    lengths = np.array([3, 9, 5, 9, 1])
    assert eval_batches(lengths, batch_size=2) == [[1, 3], [2, 0], [4]]


@pytest.mark.parametrize("size", [0, 1])
def test_tiny_splits(size):
    expected = [[0]] * size
    assert plan(np.full(size, 5)) == expected
    assert eval_batches(np.full(size, 5), batch_size=8) == expected
