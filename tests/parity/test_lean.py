"""The lean encoder is the encoder, whatever is left of it."""

from pathlib import Path

import pytest
import torch

from cofi_cli.architectures import load_dense
from cofi_cli.exporting.graphs.lean import LeanEncoder
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.plan import PrunePlan
from tests.tiny import SHAPE, batch

INPUTS = batch()
ALL_HEADS, ALL_FFN = [[0, 1], [0, 1, 2, 3], [3]], [[0], list(range(24)), [5, 7]]
STRUCTURES = {
    "all sub-layers": (ALL_HEADS, ALL_FFN),
    "attention last": (ALL_HEADS, [[0], [1, 2], []]),
    "attention in the first layer only": ([[2], [], []], ALL_FFN),
    "no attention": ([[], [], []], ALL_FFN),
    "no FFN": (ALL_HEADS, [[], [], []]),
    "nothing": ([[], [], []], [[], [], []]),
}


def model_of(folder: Path, head: str, heads: list[list[int]], ffn: list[list[int]]) -> CofiForTask:
    """Return a compact model with biases that are not 0."""
    dense = load_dense(str(folder), num_labels=2, head=head).eval()
    with torch.no_grad():
        for parameter in dense.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    hidden = [i for i in range(SHAPE.hidden) if i != 4]
    return compact(dense, PrunePlan(shape=SHAPE.as_dict(), heads=heads, ffn=ffn, hidden=hidden))


@pytest.mark.parametrize("head", ["sequence", "token", "embedding"])
@pytest.mark.parametrize("structure", STRUCTURES)
@torch.no_grad()
def test_lean_is_the_same_function(bert_folder: Path, head: str, structure: str) -> None:
    torch.manual_seed(3)
    model = model_of(bert_folder, head, *STRUCTURES[structure])
    mask = INPUTS["attention_mask"]
    lean = LeanEncoder(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    bias = model._bias(mask, torch.float32)
    last = lean(INPUTS["input_ids"], INPUTS["token_type_ids"], bias, mask)
    answer = model.head(last, mask)
    torch.testing.assert_close(answer, model.run(**INPUTS).logits, atol=1e-5, rtol=1e-5)
    assert last.shape[1] == (1 if head == "sequence" else mask.shape[1])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
